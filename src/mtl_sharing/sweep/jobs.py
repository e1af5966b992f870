"""Placing jobs through the Hydra launcher: one after the other, or several at once."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from mtl_sharing.errors import FolderInUse, UserError
from mtl_sharing.sweep.settings import SweeperConfig


@dataclass(frozen=True)
class Returned:
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
class Jobs:
    """Jobs, each known by the ticket that its start returns.

    Attributes:
        slots: jobs at once.
        inline: each job runs here and now, in the process and thread that starts it.
    """

    launcher: Launcher
    slots: int
    inline: bool
    _tickets: Iterator[int] = field(default_factory=count)
    _returned: dict[int, Returned] = field(default_factory=dict)
    _wake: threading.Event = field(default_factory=threading.Event)

    def start(self, number: int, overrides: Sequence[str]) -> int:
        """Begins a trial's job and gives its ticket, at once unless jobs run inline."""
        ticket = next(self._tickets)
        work = (ticket, number, list(overrides))
        if self.inline:
            self._launch(*work)
        else:
            # A launcher may wait for ever for a job that is gone: nobody must wait for it then.
            threading.Thread(target=self._launch, args=work, daemon=True).start()
        return ticket

    def _launch(self, ticket: int, number: int, overrides: list[str]) -> None:
        try:
            (found,) = self.launcher.launch([overrides], initial_job_idx=number)
            returned = _returned(found)
        except Exception as error:
            returned = Returned(_words(error), lost=True)
        self._returned[ticket] = returned
        self._wake.set()

    def returned(self, ticket: int) -> Returned | None:
        """How a job returned; None while it runs."""
        return self._returned.get(ticket)

    def wait(self, seconds: float) -> None:
        """Until a job returns, at most so long."""
        self._wake.wait(seconds)
        self._wake.clear()


def _returned(found: JobReturn) -> Returned:
    if found.status != JobStatus.FAILED:
        return Returned()
    error = found._return_value
    return Returned(_words(error), in_use=isinstance(error, FolderInUse))


def _words(error: Any) -> str:
    words = " ".join(str(error).split())
    if isinstance(error, UserError):
        return words
    return ": ".join(filter(None, [type(error).__name__, words]))


def make_jobs(options: SweeperConfig, config: DictConfig, launcher: Launcher) -> Jobs:
    """Jobs as the config's launcher can take them.

    Raises:
        UserError: several at once with a launcher that runs them one after the other.
    """
    inline = type(launcher).__name__ == "BasicLauncher"
    if options.n_jobs < 1:
        raise UserError("hydra.sweeper.n_jobs", options.n_jobs, "1 or more")
    if inline and options.n_jobs > 1:
        found = f"{options.n_jobs} with hydra/launcher=basic"
        raise UserError("hydra.sweeper.n_jobs", found, "1, or +cluster=local, or +cluster=slurm")
    return Jobs(launcher, options.n_jobs, inline)
