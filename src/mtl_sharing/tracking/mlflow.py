"""MLflow: a run's metrics in a store in a local folder."""

import logging
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mtl_sharing.run_folder.layout import MLFLOW
from mtl_sharing.run_folder.manifest import read_listed_object, replace_listed_json
from mtl_sharing.tracking.settings import EVERY_ROW, RunDescription
from mtl_sharing.utils.locks import exclusive
from mtl_sharing.utils.logging import log_level

if TYPE_CHECKING:
    from mlflow import MlflowClient

"""File of the run's folder with its id in the store, for a resume."""
# Limits of MLflow's log_batch.
_PARAMS_PER_BATCH, _METRICS_PER_BATCH = 100, 1000
# Seconds that a write waits for other processes of a sweep.
_WAIT_S = 60
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED", "pruned": "KILLED"}
Item = TypeVar("Item")


class MlflowRun:
    """A run in the store ``mlflow.db`` in ``folder``, named as the run's folder.

    Raises:
        MlflowException, OSError: the store cannot be read or written.
    """

    def __init__(self, run: RunDescription, folder: Path, experiment: str) -> None:
        self._client = open_store(folder)
        existing = _existing_run(self._client, run.folder)
        self._id = existing or self._create(run, folder, experiment)
        if existing:
            self._client.update_run(self._id, status="RUNNING")
        self._client.set_tag(self._id, "status", "running")

    def _create(self, run: RunDescription, folder: Path, experiment: str) -> str:
        from mlflow.entities import Param

        number = _experiment_id(self._client, experiment, folder)
        created = self._client.create_run(number, run_name=run.folder.name, tags=dict(run.tags))
        run_id: str = created.info.run_id
        for batch in _batches(run.settings, _PARAMS_PER_BATCH):
            params = [Param(_valid_name(key), str(value)) for key, value in batch]
            self._client.log_batch(run_id, params=params)
        replace_listed_json(run.folder, MLFLOW, {"run_id": run_id})
        return run_id

    def rows(self) -> int:
        """Number of rows that the store holds of this run."""
        return len(self._client.get_metric_history(self._id, EVERY_ROW))

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes the metrics of a step."""
        from mlflow.entities import Metric

        now = time.time_ns() // 10**6
        for batch in _batches(metrics, _METRICS_PER_BATCH):
            values = [Metric(_valid_name(name), value, now, step) for name, value in batch]
            self._client.log_batch(self._id, metrics=values)

    def end(self, status: str) -> None:
        """Ends the run in the store; the tag ``status`` holds this project's status."""
        self._client.set_tag(self._id, "status", status)
        self._client.set_terminated(self._id, _STATUS[status])


def open_store(folder: Path) -> "MlflowClient":
    """Opens the store in ``folder``, made if there is none. Nothing is sent over a network."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    folder.mkdir(parents=True, exist_ok=True)
    path = (folder / "mlflow.db").absolute()
    with warnings.catch_warnings(), log_level("alembic", logging.WARNING), ExitStack() as stack:
        warnings.simplefilter("ignore")  # of packages that MLflow imports
        from mlflow import MlflowClient

        # After the import, which sets the level itself.
        stack.enter_context(log_level("mlflow", logging.WARNING))
        # Two processes that make the same store at once leave a broken one: MLflow locks too late.
        # On a file system without locks there is no protection.
        with suppress(OSError):
            stack.enter_context(exclusive(folder / ".lock"))
        return MlflowClient(tracking_uri=f"sqlite:///{path}?timeout={_WAIT_S}")


def _experiment_id(client: "MlflowClient", name: str, folder: Path) -> str:
    """The id of an experiment, made if the store does not have it."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        artifacts = (folder / "artifacts").absolute().as_uri()
        try:
            return str(client.create_experiment(name, artifacts))
        except MlflowException:  # another process may have made it meanwhile
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return str(experiment.experiment_id)


def _existing_run(client: "MlflowClient", folder: Path) -> str | None:
    """The id of the run that an earlier start has made; None if there is none or it was deleted."""
    from mlflow.exceptions import MlflowException

    if not (folder / MLFLOW).is_file():
        return None
    run_id: str = read_listed_object(folder, MLFLOW)["run_id"]
    try:
        stage = client.get_run(run_id).info.lifecycle_stage
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run_id if stage == "active" else None


def _valid_name(name: str) -> str:
    """Replaces what MLflow refuses in a name, such as the + of ``cosine/network/sst+quora``."""
    return re.sub(r"[^/\w.\- ]", "_", name)


def _batches(items: Mapping[str, Item], size: int) -> Iterator[list[tuple[str, Item]]]:
    remaining = iter(items.items())
    return iter(lambda: list(islice(remaining, size)), [])
