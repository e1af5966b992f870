"""Sends the rows of metrics.csv, the settings and the final metrics to trackers."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtl_sharing.errors import Pruned, UserError, first_line
from mtl_sharing.tracking.settings import RunDescription, Tracker, TrackerConfig
from mtl_sharing.utils.environment import check_package
from mtl_sharing.utils.nested import flatten

log = logging.getLogger(__name__)


def check_trackers(config: TrackerConfig) -> None:
    """Raises UserError for a missing package, or an invalid folder or experiment."""
    if config.tensorboard.enabled:
        check_package("tracker", "tensorboard", "tensorboard", "tensorboard")
    if config.mlflow.enabled:
        check_package("tracker", "mlflow", "mlflow", "mlflow")
        for name in ("folder", "experiment"):
            value = getattr(config.mlflow, name)
            if not value.strip() or "\0" in value:
                raise UserError(f"tracker.mlflow.{name}", repr(value), f"the {name}'s name")
        if "://" in config.mlflow.folder:
            allowed = "a folder of this machine, without a scheme"
            raise UserError("tracker.mlflow.folder", config.mlflow.folder, allowed)


@dataclass
class Trackers:
    """All trackers of a run, opened by ``makers``.

    A tracker that raises is disabled with one warning. Rows are sent only once a checkpoint holds
    them, so that none is ever taken back. After a resume each tracker gets the rows it missed.
    """

    makers: Mapping[str, Callable[[], Tracker]]
    _open: dict[str, Tracker] = field(default_factory=dict, init=False)
    _step: int = field(default=0, init=False)

    def begin(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Opens all trackers and sends each the rows of a resumed run that it lacks."""
        self._step = history[-1]["step"] if history else 0
        for name, make in self.makers.items():
            with self._guarded(name):
                tracker = self._open[name] = make()
                for row in history[tracker.rows() :]:
                    tracker.add(row["step"], _row_metrics(row))

    def add(self, row: Mapping[str, Any]) -> None:
        """Sends a row of metrics.csv."""
        self._step = row["step"]
        self._for_each(lambda tracker: tracker.add(row["step"], _row_metrics(row)))

    def conclude(self, result: Mapping[str, Any]) -> None:
        """Sends the final metrics, at the step of the last row, under ``result/``."""
        metrics = numeric(dict(flatten({"result": result}, "/")))
        self._for_each(lambda tracker: tracker.add(self._step, metrics))

    def end(self, status: str) -> None:
        """Ends all trackers."""
        self._for_each(lambda tracker: tracker.end(status))
        self._open.clear()

    def _for_each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            with self._guarded(name):
                call(tracker)

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Disables the tracker on any exception in the block, such as a full disk's."""
        try:
            yield
        except Exception as error:
            self._open.pop(name, None)
            log.warning("%s is disabled for the rest of this run: %s", name, first_line(error))


@contextmanager
def tracking(config: TrackerConfig, run: Callable[[], RunDescription]) -> Iterator[Trackers]:
    """Yields the trackers that the config chooses, and ends them with the block's status."""

    # Imported late: other runs need neither package.
    def tensorboard() -> Tracker:
        from mtl_sharing.tracking.tensorboard import TensorboardRun

        return TensorboardRun(run())

    def mlflow() -> Tracker:
        from mtl_sharing.tracking.mlflow import MlflowRun

        chosen = config.mlflow
        return MlflowRun(run(), Path(chosen.folder).expanduser(), chosen.experiment)

    makers = {"tensorboard": tensorboard} if config.tensorboard.enabled else {}
    makers |= {"mlflow": mlflow} if config.mlflow.enabled else {}
    trackers, status = Trackers(makers), "finished"
    try:
        yield trackers
    except Pruned:
        status = "pruned"
        raise
    except BaseException as error:
        status = "failed" if isinstance(error, Exception) else "stopped"
        raise
    finally:
        trackers.end(status)


def _row_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    return numeric({name: value for name, value in row.items() if name != "step"})


def numeric(values: Mapping[str, Any]) -> dict[str, float]:
    """The values that are numbers, as floats."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
