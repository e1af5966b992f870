"""Starts jobs through the Hydra launcher: one after the other, or several at once.

Where trials only count operations, the time of the best regime is measured by one more job, so that
it runs on the same machines as the trials.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig
from optuna.trial import FrozenTrial

from mtl_sharing.errors import (
    FolderInUse,
    UserError,
    is_interrupt,
    is_out_of_memory,
    storage_error,
)
from mtl_sharing.run_folder.layout import MEASURED
from mtl_sharing.run_folder.manifest import read_listed_object
from mtl_sharing.sweep.jobs.device_slots import (
    DeviceSlots,
    launcher_name,
    make_device_slots,
    runs_in_the_sweep,
    runs_in_worker,
)
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.study.attributes import OVERRIDES
from mtl_sharing.sweep.study.storage import DatabaseGone, DatabaseUnwritable
from mtl_sharing.sweep.study.study import SweepStudy, folder_lock
from mtl_sharing.utils.signals import block_in_children

log = logging.getLogger(__name__)

FOLDER = "measured"
_TIMEOUT_S = 1800.0
Measurement = dict[str, Any]


@dataclass(frozen=True)
class JobOutcome:
    """The end of a job, as its launcher reports it.

    Attributes:
        reason: the error that it raised; None where it ended well.
        lost: it was killed, its node is gone, its time over, or memory was too small.
        in_use: another job works in its folder.
        storage_error: a disk or folder took no more, which also concerns the trials that follow.
    """

    reason: str | None = None
    lost: bool = False
    in_use: bool = False
    storage_error: Exception | None = None


@dataclass
class JobPool:
    """Jobs, so many at once (``slots``), each with the id that its start returns.

    Attributes:
        inline: each job runs in the process and thread that starts it.
    """

    launcher: Launcher
    slots: int
    inline: bool
    devices: DeviceSlots = field(default_factory=DeviceSlots)
    _slots: dict[int, int] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=count)
    _outcomes: dict[int, JobOutcome] = field(default_factory=dict)
    _wake: threading.Event = field(default_factory=threading.Event)

    def start(self, number: int, overrides: Sequence[str]) -> int:
        """Starts a trial's job and returns its id, after the job where jobs run inline."""
        job_id = next(self._ids)
        job = (job_id, number, [*overrides, *self.devices.overrides(self._slot(job_id))])
        if self.inline:
            self._launch(*job)
        else:
            # A daemon, since a launcher may wait for ever for a job that is gone.
            threading.Thread(target=self._launch_in_thread, args=job, daemon=True).start()
        return job_id

    def _slot(self, job_id: int) -> int:
        """Takes the lowest slot that no running job holds."""
        held = {slot for job, slot in self._slots.items() if job not in self._outcomes}
        self._slots[job_id] = next(slot for slot in count() if slot not in held)
        return self._slots[job_id]

    def _launch_in_thread(self, job_id: int, number: int, overrides: list[str]) -> None:
        if runs_in_worker(self.launcher):
            block_in_children()
        self._launch(job_id, number, overrides)

    def _launch(self, job_id: int, number: int, overrides: list[str]) -> None:
        try:
            (returned,) = self.launcher.launch([overrides], initial_job_idx=number)
            outcome = _outcome(returned)
        except (KeyboardInterrupt, SystemExit, Exception) as error:
            if self.inline and (isinstance(error, SystemExit) or is_interrupt(error)):
                raise
            outcome = _failed(error, lost=True)
        self._outcomes[job_id] = outcome
        self._wake.set()

    def outcome(self, job_id: int) -> JobOutcome | None:
        """The outcome of a job; None while it runs."""
        return self._outcomes.get(job_id)

    def stop(self) -> None:
        """Interrupts this machine's workers, which save their state; a cluster's jobs go on."""
        for worker in multiprocessing.active_children():
            if worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGINT)

    def wait(self, seconds: float) -> None:
        """Waits until a job ends, at most so long."""
        self._wake.wait(seconds)
        self._wake.clear()


def _outcome(returned: JobReturn) -> JobOutcome:
    if returned.status != JobStatus.FAILED:
        return JobOutcome()
    # The public return_value would print to stderr.
    return _failed(returned._return_value)


def _failed(error: BaseException, lost: bool = False) -> JobOutcome:
    """The outcome of a job, or of its start, that raised an error."""
    lost = lost or isinstance(error, DatabaseGone) or is_out_of_memory(error)
    storage = error if isinstance(error, DatabaseUnwritable) else storage_error(error)
    return JobOutcome(_message(error), lost, isinstance(error, FolderInUse), storage)


def _message(error: BaseException) -> str:
    name = "" if isinstance(error, UserError) else type(error).__name__
    return ": ".join(filter(None, [name, " ".join(str(error).split())]))


def make_job_pool(options: SweeperConfig, config: DictConfig, launcher: Launcher) -> JobPool:
    """A job pool for the config's launcher.

    Raises:
        UserError: several jobs at once with a launcher that runs them one after the other.
    """
    inline = runs_in_the_sweep(config.hydra.launcher)
    if inline and options.n_jobs > 1:
        found = f"{options.n_jobs} with hydra/launcher=basic"
        raise UserError("hydra.sweeper.n_jobs", found, "1, or +cluster=local, or +cluster=slurm")
    if launcher_name(launcher) == "SlurmLauncher":
        from mtl_sharing.sweep.jobs.slurm import watch_queue

        watch_queue()
        if options.storage is None:
            log.warning("the study is SQLite in a folder that nodes share: not every such file "
                        "system can do that; hydra.sweeper.storage names a database")  # fmt: skip
    return JobPool(launcher, options.n_jobs, inline, make_device_slots(config, options.n_jobs))


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
        record: Measurement = read_listed_object(folder / FOLDER, MEASURED)
    except (OSError, UserError):
        return None
    return record if record.get("trial") == number else None
