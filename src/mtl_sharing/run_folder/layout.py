"""Names of the files in the folders of runs and sweeps, and the states of a run."""

from enum import StrEnum
from pathlib import Path

RESULT = "result.json"
PLAN = "plan.json"
CONFIG = "config.json"
SETTINGS = "settings.json"
"""The settings that a run began with, unresolved, and where its relative paths start."""
PINS = "inputs.json"
"""Digests of what a run reads."""
METRICS = "metrics.csv"
CURVES = "curves.png"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
PREDICTIONS = "predictions.parquet"
LOCK = ".lock"
CHECKPOINT = Path("checkpoint")
"""The folder of the best weights and of the state that resuming needs."""
CHECKPOINT_STATE = CHECKPOINT / "last.pt"
BASELINE_START = CHECKPOINT / "baseline.json"
"""The data and settings that a run of separate models began with."""
BASELINES = "baselines"
"""Baselines trained in the run's own folder, where the cache stores none."""
HYDRA_CONFIG = Path(".hydra") / "config.yaml"
HYDRA_JOB = Path(".hydra") / "hydra.yaml"
HYDRA_OVERRIDES = Path(".hydra") / "overrides.yaml"
"""Of people's interest alone: commands read settings.json."""

SWEEP_TABLE = "sweep.csv"
STUDY = "study.db"
MULTIRUN = "multirun.yaml"
"""Written by Hydra's own multirun."""
MEASURED = "measured.json"
"""The measurement of a sweep's best trial."""


class Status(StrEnum):
    """The ``status`` of a result.json; ``unreadable`` stands for a damaged one."""

    FINISHED = "finished"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    PRUNED = "pruned"
    UNREADABLE = "unreadable"
