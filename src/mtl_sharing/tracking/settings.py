"""Config group ``tracker``, and the interface of a tracker. Without torch, to start fast."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

# A column that every row of metrics.csv has, so that trackers can count rows.
EVERY_ROW = "train_s"


@dataclass
class TensorboardConfig:
    """TensorBoard events in ``tensorboard/`` of the run's folder.

    Attributes:
        enabled: whether they are written; ``tracker=tensorboard`` sets it.
    """

    enabled: bool = False


@dataclass
class MlflowConfig:
    """A run in a local MLflow store, ``mlflow.db`` (SQLite) in ``folder``.

    Attributes:
        enabled: whether the run is recorded; ``tracker=mlflow`` sets it.
        folder: relative to the command's working directory.
        experiment: name of the experiment; made if the store does not have it.
    """

    enabled: bool = False
    folder: str = "outputs/mlruns"
    experiment: str = "mtl-sharing"


@dataclass
class TrackerConfig:
    """The ``tracker`` config group: services that receive a run's metrics beside metrics.csv.

    ``tracker=[tensorboard,mlflow]`` chooses both. A tracker does not affect the training.
    """

    tensorboard: TensorboardConfig = field(default_factory=TensorboardConfig)
    mlflow: MlflowConfig = field(default_factory=MlflowConfig)


@dataclass(frozen=True)
class RunDescription:
    """Folder of a run, its settings by dotted key, and tags such as its regime and seed."""

    folder: Path
    settings: Mapping[str, Any]
    tags: Mapping[str, str]


class Tracker(Protocol):
    """Receives a run's metrics. An exception disables the tracker; it never stops the run."""

    def rows(self) -> int:
        """Number of rows of this run that the tracker holds from earlier starts."""

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Stores metrics of a step durably: after a return a kill loses none of them."""

    def end(self, status: str) -> None:
        """Ends the run as ``finished``, ``stopped``, ``pruned`` or ``failed``."""
