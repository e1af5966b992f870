"""Names of the files in the folders of runs and sweeps, and the states of a run."""

import re
import shlex
from enum import StrEnum
from pathlib import Path

from mtl_sharing.errors import UserError

RESULT = "result.json"
PLAN = "plan.json"
DATA = "data.json"
"""The facts that ``check_data=true`` counts in the data."""
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
TRAIN_OUTPUTS = "train_outputs.safetensors"
"""Outputs of separate models for the texts that they were trained on, for runs to learn from."""
MANIFEST = "manifest.json"
"""Digests of the run's own files."""
LOCK = ".lock"
CHECKPOINT = Path("checkpoint")
"""The folder of the best weights and of the state that resuming needs."""
CHECKPOINT_STATE = CHECKPOINT / "last.pt"
CHECKPOINT_BEFORE = CHECKPOINT / "previous.pt"
"""The checkpoint before the last, for where that is damaged."""
BASELINE_START = CHECKPOINT / "baseline.json"
"""The data and settings that a run of separate models began with."""
TEACHER = CHECKPOINT / "teacher.safetensors"
"""The outputs that a run learns from, in the order of its training texts."""
BASELINES = "baselines"
"""Baselines trained in the run's own folder, where the cache stores none."""
HYDRA_CONFIG = Path(".hydra") / "config.yaml"
HYDRA_JOB = Path(".hydra") / "hydra.yaml"
HYDRA_OVERRIDES = Path(".hydra") / "overrides.yaml"
"""The settings for people to read: commands read settings.json."""

AS_WRITTEN = "the file as the run wrote it"
"""The allowed content in an error about one of these files."""

SWEEP_TABLE = "sweep.csv"
DECISION = "decision.json"
"""The answer of a search."""
STUDY = "study.db"
MULTIRUN = "multirun.yaml"
"""Written by Hydra's own multirun."""
MEASURED = "measured.json"
"""The measurement of a sweep's best trial."""
MLFLOW = "mlflow.json"
TENSORBOARD = "tensorboard"
TENSORBOARD_ROWS = f"{TENSORBOARD}/rows.json"
"""Number of rows that the events hold, and the step of the last."""

LISTED = (
    SETTINGS, RESULT, CONFIG, PINS, METRICS, WEIGHTS, TOKENIZER, PREDICTIONS, MEASURED, MLFLOW,
    TENSORBOARD_ROWS, str(BASELINE_START), TRAIN_OUTPUTS, str(TEACHER),
)  # fmt: skip
"""The files of a run that commands read, whatever else its manifest lists."""

ENTRIES = (
    RESULT, PLAN, DATA, CONFIG, PINS, METRICS, CURVES, WEIGHTS, TOKENIZER, PREDICTIONS, LOCK,
    "train.log", TRAIN_OUTPUTS, str(CHECKPOINT), BASELINES, HYDRA_CONFIG.parts[0], TENSORBOARD,
    MLFLOW, SETTINGS, MANIFEST,
    SWEEP_TABLE, STUDY, f"{STUDY}-journal", f"{STUDY}-wal", MULTIRUN, "best.yaml", "sweep.png",
    DECISION,
)  # fmt: skip
"""The entries that commands read and write in a run's or sweep's folder; others may be there."""


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
OUTPUTS, SWEEPS = Path("outputs"), "sweeps"
# Folders of ``outputs`` that are not a run's: of sweeps, of MLflow's runs, of a day's runs.
_NO_RUN = re.compile(rf"{SWEEPS}|mlruns|\d{{4}}-\d\d-\d\d")


def named_folder(name: str, is_sweep: bool) -> Path:
    """The folder of the run, or of the sweep, with a name of the user's own.

    Raises:
        UserError: a name that is no safe name of a folder, or another kind of folder's.
    """
    if not _NAME.fullmatch(name):
        allowed = "up to 100 letters from a to z, digits, . _ and -, the first no mark"
        raise UserError("name", name or "an empty name", allowed)
    if not is_sweep and _NO_RUN.fullmatch(name):
        raise UserError("name", f"{name}, the name of another folder of {OUTPUTS}", "another name")
    return OUTPUTS / SWEEPS / name if is_sweep else OUTPUTS / name


def has_checkpoint(folder: Path) -> bool:
    """Whether a run has a state to go on from; a kill may have left the previous one alone."""
    return any((folder / name).exists() for name in (CHECKPOINT_STATE, CHECKPOINT_BEFORE))


def resume_command(folder: object) -> str:
    """The shell command that goes on with the run in ``folder``."""
    return shlex.join(["mtl-train", f"resume={folder}"])


class Status(StrEnum):
    """The ``status`` of a result.json; ``unreadable`` stands for a damaged one."""

    FINISHED = "finished"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    PRUNED = "pruned"
    UNREADABLE = "unreadable"
