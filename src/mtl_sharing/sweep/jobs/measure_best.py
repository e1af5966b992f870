"""Measures the time of a sweep's best regime, where trials only count operations.

It is one more job of the sweep's launcher, so that it runs on the same machines as the trials.
"""

import json
import logging
import time
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from mtl_sharing.run_folder.layout import MEASURED
from mtl_sharing.sweep.jobs.launcher import JobPool
from mtl_sharing.sweep.study.attributes import OVERRIDES
from mtl_sharing.sweep.study.study import SweepStudy, folder_lock

log = logging.getLogger(__name__)

FOLDER = "measured"
_TIMEOUT_S = 1800.0
Measurement = dict[str, Any]


def measure_best(jobs: JobPool, study: SweepStudy, best: FrozenTrial) -> Measurement | None:
    """Times separate models and the best trial side by side; None where that fails."""
    # Of two sweeps that end together, the second reads what the first has measured.
    with folder_lock(study.folder, "measuring."):
        return read_measurement(study.folder, best.number) or _measure(jobs, study.folder, best)


def _measure(jobs: JobPool, folder: Path, best: FrozenTrial) -> Measurement | None:
    log.info("measuring trial %d and separate models side by side", best.number)
    overrides = [*best.user_attrs[OVERRIDES], f"hydra.sweep.subdir={FOLDER}"]
    job_id, began = jobs.start(best.number, overrides), time.monotonic()
    measurement = outcome = None
    while measurement is None and outcome is None and time.monotonic() - began < _TIMEOUT_S:
        jobs.wait(1.0)
        outcome = jobs.outcome(job_id)
        measurement = read_measurement(folder, best.number)
    if measurement is None:
        reason = outcome.reason if outcome is not None else f"nothing after {_TIMEOUT_S:g} s"
        log.warning("the winner could not be measured: %s", reason or "it does not fit here")
    return measurement


def read_measurement(folder: Path, number: int) -> Measurement | None:
    """The measurement of this trial in the sweep's folder; None if there is none."""
    try:
        record: Measurement = json.loads((folder / FOLDER / MEASURED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if record["trial"] == number else None
