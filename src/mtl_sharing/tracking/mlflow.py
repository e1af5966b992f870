"""MLflow: a run's figures in a store in a local folder."""

import fcntl
import json
import logging
import os
import re
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mtl_sharing.tracking.tracker import EVERY_ROW, RunDescription
from mtl_sharing.utils.files import replace_json
from mtl_sharing.utils.logging import log_level

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Beside the run's other files: which run of the store it is, for going on with it.
FILE = "mlflow.json"
# What a request may hold.
_PARAMS_AT_ONCE, _METRICS_AT_ONCE = 100, 1000
# How long a writer waits for the others of a sweep.
_WAIT_S = 60
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED", "pruned": "KILLED"}
Item = TypeVar("Item")


class MlflowRun:
    """A run in the store ``mlflow.db`` in ``folder``, named as the run's folder.

    Raises:
        MlflowException, OSError: the store cannot be read or written.
    """

    def __init__(self, run: RunDescription, folder: Path, experiment: str) -> None:
        self._client = _open_store(folder)
        found = _known(self._client, run.folder / FILE)
        self._id = found or self._create(run, folder, experiment)
        if found:
            self._client.update_run(self._id, status="RUNNING")
        self._client.set_tag(self._id, "status", "running")

    def _create(self, run: RunDescription, folder: Path, experiment: str) -> str:
        from mlflow.entities import Param

        place = _experiment(self._client, experiment, folder)
        created = self._client.create_run(place, run_name=run.folder.name, tags=dict(run.tags))
        run_id: str = created.info.run_id
        for some in _chunks(run.settings.items(), _PARAMS_AT_ONCE):
            params = [Param(_name(key), str(value)) for key, value in some]
            self._client.log_batch(run_id, params=params)
        replace_json(run.folder / FILE, {"run_id": run_id, "experiment": experiment})
        return run_id

    def rows(self) -> int:
        """How many rows the store holds of this run."""
        return len(self._client.get_metric_history(self._id, EVERY_ROW))

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """A metric for each figure."""
        from mlflow.entities import Metric

        now = time.time_ns() // 10**6
        for some in _chunks(figures.items(), _METRICS_AT_ONCE):
            metrics = [Metric(_name(name), value, now, step) for name, value in some]
            self._client.log_batch(self._id, metrics=metrics)

    def end(self, status: str) -> None:
        """Ends the run in the store; the tag ``status`` has the project's own word."""
        self._client.set_tag(self._id, "status", status)
        self._client.set_terminated(self._id, _STATUS[status])


def _open_store(folder: Path) -> "MlflowClient":
    """The store in ``folder``, made where there is none. Nothing is sent anywhere."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    folder.mkdir(parents=True, exist_ok=True)
    path = (folder / "mlflow.db").absolute()
    with warnings.catch_warnings(), log_level("alembic", logging.WARNING):
        # Of what MLflow itself uses.
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        # Two that make the same store at once would leave half of it (MLflow's own lock came
        # too late for a sweep's first trials).
        with log_level("mlflow", logging.WARNING), _alone(folder):
            return MlflowClient(tracking_uri=f"sqlite:///{path}?timeout={_WAIT_S}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other process opens the store; a file system without locks waits for none."""
    with (folder / ".lock").open("ab") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _experiment(client: "MlflowClient", name: str, folder: Path) -> str:
    """Its number; another process may make it at the same moment."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            made: str = client.create_experiment(name, (folder / "artifacts").absolute().as_uri())
            return made
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    number: str = found.experiment_id
    return number


def _known(client: "MlflowClient", path: Path) -> str | None:
    """The run that an earlier start has made; None where it made none or it is gone."""
    from mlflow.exceptions import MlflowException

    if not path.is_file():
        return None
    run_id: str = json.loads(path.read_text(encoding="utf-8"))["run_id"]
    try:
        stage = client.get_run(run_id).info.lifecycle_stage
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run_id if stage == "active" else None


def _name(name: str) -> str:
    """With what MLflow takes in a name, as ``cosine/network/sst+quora`` is not."""
    return re.sub(r"[^/\w.\- ]", "_", name)


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of at most ``size``."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some
