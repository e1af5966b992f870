"""The files of a run's folder, by name, and the states that a run can be in."""

from enum import StrEnum
from pathlib import Path

RESULT = "result.json"
PLAN = "plan.json"
CONFIG = "config.json"
METRICS = "metrics.csv"
CURVES = "curves.png"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
PREDICTIONS = "predictions.parquet"
LOCK = ".lock"
CHECKPOINT = Path("checkpoint")
"""The folder of what resuming needs, beside the best weights."""
CHECKPOINT_STATE = CHECKPOINT / "last.pt"
BASELINE_START = CHECKPOINT / "baseline.json"
"""Data and settings that a run of separate models began with."""
BASELINES = "baselines"
"""Baselines trained in the run's own folder, where the cache takes none."""
HYDRA_CONFIG = Path(".hydra") / "config.yaml"
HYDRA_JOB = Path(".hydra") / "hydra.yaml"


class Status(StrEnum):
    """The ``status`` of a result.json; ``unreadable`` stands for a damaged one."""

    FINISHED = "finished"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    PRUNED = "pruned"
    UNREADABLE = "unreadable"
