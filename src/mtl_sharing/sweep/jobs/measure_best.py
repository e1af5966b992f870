"""The winner by the clock: sweeps count operations, and measure the best regime at their end.

It is one more job of the sweep's launcher, so that it is measured where the trials ran.
"""

import json
import logging
import time
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from mtl_sharing.config import Config
from mtl_sharing.job.measurement import measure
from mtl_sharing.sweep.jobs.input_cache import read_once
from mtl_sharing.sweep.jobs.launcher import JobPool
from mtl_sharing.sweep.study.study import OVERRIDES, SweepStudy
from mtl_sharing.utils.files import replace_json

log = logging.getLogger(__name__)

FOLDER, FILE = "measured", "measured.json"
_PATIENCE_S = 1800.0
Measured = dict[str, Any]


def measure_winner(jobs: JobPool, book: SweepStudy, best: FrozenTrial) -> Measured | None:
    """Time of separate models over the winner's, side by side; None where it cannot be had."""
    # Of two sweeps that end together the second finds what the first has measured.
    with book.alone("measuring."):
        return read_measured(book.folder, best.number) or _measure(jobs, book.folder, best)


def _measure(jobs: JobPool, folder: Path, best: FrozenTrial) -> Measured | None:
    log.info("measuring trial %d and separate models side by side", best.number)
    words = [*best.user_attrs[OVERRIDES], f"hydra.sweep.subdir={FOLDER}"]
    ticket, began = jobs.start(best.number, words), time.monotonic()
    found = returned = None
    while found is None and returned is None and time.monotonic() - began < _PATIENCE_S:
        jobs.wait(1.0)
        returned = jobs.returned(ticket)
        found = read_measured(folder, best.number)
    if found is None:
        reason = returned.reason if returned is not None else f"nothing after {_PATIENCE_S:g} s"
        log.warning("the winner could not be measured: %s", reason or "it does not fit here")
    return found


def read_measured(folder: Path, number: int) -> Measured | None:
    """What was measured of this trial in the sweep's folder."""
    try:
        found: Measured = json.loads((folder / FOLDER / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found["trial"] == number else None


def run_measurement(config: Config, folder: Path, number: int) -> None:
    """The job: writes measured.json.

    Raises:
        UserError: a mistake in the config or the data.
    """
    found = measure(config, folder, read_once)
    if found is not None:
        ratios = {name: found.ratio(name) for name in ("train", "predict")}
        replace_json(folder / FILE, {"trial": number, "time": ratios, **found.record()})
