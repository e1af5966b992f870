"""Config group ``tracker``. Without torch, so that the command line starts fast."""

from dataclasses import dataclass, field


@dataclass
class TensorboardConfig:
    """TensorBoard's events, in the run's folder under ``tensorboard/``."""

    enabled: bool = False


@dataclass
class MlflowConfig:
    """A run in a local MLflow store, ``mlflow.db`` (SQLite) in ``folder``.

    Attributes:
        folder: relative to where the command starts.
        experiment: made where the store does not have it yet.
    """

    enabled: bool = False
    folder: str = "outputs/mlruns"
    experiment: str = "mtl-sharing"


@dataclass
class TrackerConfig:
    """The ``tracker`` config group: what is told of a run beside its metrics.csv.

    ``tracker=[tensorboard,mlflow]`` chooses both. A tracker changes nothing in a run.
    """

    tensorboard: TensorboardConfig = field(default_factory=TensorboardConfig)
    mlflow: MlflowConfig = field(default_factory=MlflowConfig)
