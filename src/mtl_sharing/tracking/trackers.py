"""Trackers: others that are told the rows of metrics.csv, the settings and the final figures."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mtl_sharing.errors import Pruned, UserError
from mtl_sharing.tracking.settings import TrackerConfig
from mtl_sharing.tracking.tracker import RunDescription, Tracker
from mtl_sharing.utils.packages import check_package

log = logging.getLogger(__name__)


def check_trackers(config: TrackerConfig) -> None:
    """Raises UserError where a tracker's package is missing, or a name cannot be one."""
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
    """All trackers of a run.

    One that fails is left out from there on with one warning. A resumed run tells it what it
    missed: rows are told only once a checkpoint holds them, so none is ever taken back.

    Attributes:
        makers: by name what opens a tracker.
    """

    makers: Mapping[str, Callable[[], Tracker]]
    _open: dict[str, Tracker] = field(default_factory=dict, init=False)
    _step: int = field(default=0, init=False)

    def begin(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Opens all of them, and tells each the rows of a resumed run that it does not have."""
        self._step = history[-1]["step"] if history else 0
        for name, make in self.makers.items():
            self._try(name, partial(self._begin, name, make, history))

    def _begin(
        self, name: str, make: Callable[[], Tracker], history: Sequence[Mapping[str, Any]]
    ) -> None:
        tracker = self._open[name] = make()
        for row in history[tracker.rows() :]:
            tracker.add(row["step"], _row_figures(row))

    def add(self, row: Mapping[str, Any]) -> None:
        """Takes a row of metrics.csv."""
        self._step = row["step"]
        self._each(lambda tracker: tracker.add(row["step"], _row_figures(row)))

    def conclude(self, result: Mapping[str, Any]) -> None:
        """Takes the final figures, at the step of the last row, under ``result/``."""
        found = figures(flattened(result, "/", "result"))
        self._each(lambda tracker: tracker.add(self._step, found))

    def end(self, status: str) -> None:
        """Closes all of them."""
        self._each(lambda tracker: tracker.end(status))
        self._open.clear()

    def _each(self, work: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            self._try(name, partial(work, tracker))

    def _try(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # what a full disk or a damaged store raises is theirs
            self._open.pop(name, None)
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            log.warning("%s is told no more of this run: %s", name, reason)


@contextmanager
def tracking(config: TrackerConfig, run: Callable[[], RunDescription]) -> Iterator[Trackers]:
    """The trackers that the config chooses; closed at the end of the block, however it ends."""
    makers: dict[str, Callable[[], Tracker]] = {}
    if config.tensorboard.enabled:
        makers["tensorboard"] = lambda: _event_file(run())
    if config.mlflow.enabled:
        makers["mlflow"] = lambda: _mlflow_run(run(), config)
    trackers, status = Trackers(makers), "finished"
    try:
        yield trackers
    except BaseException as error:
        status = _status(error)
        raise
    finally:
        trackers.end(status)


# Each is loaded by a run that asked for it, and by no other.
def _event_file(run: RunDescription) -> Tracker:
    from mtl_sharing.tracking.tensorboard import EventFile

    return EventFile(run)


def _mlflow_run(run: RunDescription, config: TrackerConfig) -> Tracker:
    from mtl_sharing.tracking.mlflow import MlflowRun

    return MlflowRun(run, Path(config.mlflow.folder).expanduser(), config.mlflow.experiment)


def _status(error: BaseException) -> str:
    if isinstance(error, Pruned):
        return "pruned"
    return "failed" if isinstance(error, Exception) else "stopped"


def _row_figures(row: Mapping[str, Any]) -> dict[str, float]:
    return figures({name: value for name, value in row.items() if name != "step"})


def figures(values: Mapping[str, Any]) -> dict[str, float]:
    """Those of the values that are numbers."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def flattened(values: Mapping[str, Any], separator: str, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with joined names; all other values as they are."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{separator}{name}" if prefix else str(name)
        inner = isinstance(value, Mapping) and value
        found |= flattened(value, separator, path) if inner else {path: value}
    return found
