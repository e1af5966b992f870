"""Placing jobs through the Hydra launcher: one after the other, or several at once."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from mtl_sharing.errors import FolderInUse, UserError, is_interrupt
from mtl_sharing.sweep.jobs.device_slots import (
    DeviceSlots,
    launches_with,
    make_device_slots,
    runs_in_the_sweep,
)
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.study.storage import DatabaseGone

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobOutcome:
    """A job that the launcher knows to be over.

    Attributes:
        reason: what it raised, in words; None where it ended well.
        lost: the launcher lost it: killed, its node gone, its time over.
        in_use: it found another job at work in its folder.
    """

    reason: str | None = None
    lost: bool = False
    in_use: bool = False


@dataclass
class JobPool:
    """JobPool, each known by the ticket that its start returns.

    Attributes:
        slots: jobs at once.
        inline: each job runs here and now, in the process and thread that starts it.
        places: what each of the jobs at once gets of this machine.
    """

    launcher: Launcher
    slots: int
    inline: bool
    places: DeviceSlots = field(default_factory=DeviceSlots)
    _slots: dict[int, int] = field(default_factory=dict)
    _tickets: Iterator[int] = field(default_factory=count)
    _returned: dict[int, JobOutcome] = field(default_factory=dict)
    _wake: threading.Event = field(default_factory=threading.Event)

    def start(self, number: int, overrides: Sequence[str]) -> int:
        """Begins a trial's job and gives its ticket, at once unless jobs run inline."""
        ticket = next(self._tickets)
        work = (ticket, number, [*overrides, *self.places.words(self._slot(ticket))])
        if self.inline:
            self._launch(*work)
        else:
            # A launcher may wait for ever for a job that is gone: nobody must wait for it then.
            threading.Thread(target=self._launch, args=work, daemon=True).start()
        return ticket

    def _slot(self, ticket: int) -> int:
        """The lowest slot that no job holds; this one does until it returns."""
        held = {slot for of, slot in self._slots.items() if of not in self._returned}
        self._slots[ticket] = next(slot for slot in count() if slot not in held)
        return self._slots[ticket]

    def _launch(self, ticket: int, number: int, overrides: list[str]) -> None:
        try:
            (found,) = self.launcher.launch([overrides], initial_job_idx=number)
            returned = _returned(found)
        except (KeyboardInterrupt, SystemExit, Exception) as error:
            if self.inline and (isinstance(error, SystemExit) or is_interrupt(error)):
                raise
            returned = JobOutcome(_words(error), lost=True)
        self._returned[ticket] = returned
        self._wake.set()

    def returned(self, ticket: int) -> JobOutcome | None:
        """How a job returned; None while it runs."""
        return self._returned.get(ticket)

    def stop(self) -> None:
        """Has this machine's workers save what they train; jobs of a cluster go on.

        They get what Ctrl-C sends to all processes of a terminal.
        """
        for worker in multiprocessing.active_children():
            if worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGINT)

    def wait(self, seconds: float) -> None:
        """Until a job returns, at most so long."""
        self._wake.wait(seconds)
        self._wake.clear()


def _returned(found: JobReturn) -> JobOutcome:
    if found.status != JobStatus.FAILED:
        return JobOutcome()
    error = found._return_value
    return JobOutcome(_words(error), lost=isinstance(error, DatabaseGone),
                    in_use=isinstance(error, FolderInUse))  # fmt: skip


def _words(error: Any) -> str:
    words = " ".join(str(error).split())
    if isinstance(error, UserError):
        return words
    return ": ".join(filter(None, [type(error).__name__, words]))


def make_job_pool(options: SweeperConfig, config: DictConfig, launcher: Launcher) -> JobPool:
    """JobPool as the config's launcher can take them.

    Raises:
        UserError: several at once with a launcher that runs them one after the other.
    """
    inline = runs_in_the_sweep(config.hydra.launcher)
    if inline and options.n_jobs > 1:
        found = f"{options.n_jobs} with hydra/launcher=basic"
        raise UserError("hydra.sweeper.n_jobs", found, "1, or +cluster=local, or +cluster=slurm")
    if launches_with(launcher) == "SlurmLauncher":
        from mtl_sharing.sweep.jobs.slurm import watch_queue

        watch_queue()
        if options.storage is None:
            log.warning("the study is SQLite in a folder that nodes share: not every such file "
                        "system can do that; hydra.sweeper.storage names a database")  # fmt: skip
    return JobPool(launcher, options.n_jobs, inline, make_device_slots(config, options.n_jobs))
