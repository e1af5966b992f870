"""Config group ``tracker``. Without torch, so that the command line starts fast."""

from dataclasses import dataclass, field


@dataclass
class TensorboardConfig:
    """TensorBoard events in ``tensorboard/`` of the run's folder."""

    enabled: bool = False


@dataclass
class MlflowConfig:
    """A run in a local MLflow store, ``mlflow.db`` (SQLite) in ``folder``.

    Attributes:
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
