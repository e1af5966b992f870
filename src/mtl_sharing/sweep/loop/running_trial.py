"""A trial in flight: its runs, one or one for each seed."""

import time
from dataclasses import dataclass
from pathlib import Path

from mtl_sharing.sweep.study.trial_result import TrialResult


@dataclass
class RunningTrial:
    """A running trial that this sweep is responsible for.

    Attributes:
        folder: the trial's.
        seeds: the seed of each of its runs; empty where the one run has the config's.
        ticket: of the job that works on it now.
        same_as: the trial whose end will be this one's, which trains nothing.
        noted: its figures stand in the study already.
        verdict: how it ended, where the study waits for the reference before it is told.
        begun, ended: by the monotonic clock.
        before_s: seconds that earlier starts of the sweep gave it.
    """

    number: int
    overrides: list[str]
    folder: Path
    seeds: list[int]
    ticket: int | None = None
    same_as: int | None = None
    verdict: TrialResult | None = None
    run: int = 0
    begun: float = 0.0
    ended: float | None = None
    before_s: float = 0.0
    noted: bool = False

    @property
    def seconds(self) -> float:
        """That the trial has taken, over all starts of the sweep."""
        end = time.monotonic() if self.ended is None else self.ended
        return round(self.before_s + end - self.begun, 1)

    @property
    def busy(self) -> bool:
        """Whether it takes one of the slots."""
        return self.same_as is None and self.verdict is None

    @property
    def folders(self) -> list[Path]:
        """The folder of each run."""
        return [self.folder / f"seed_{s}" for s in self.seeds] or [self.folder]

    @property
    def words(self) -> list[str]:
        """The overrides of the run that is next."""
        if not self.seeds:
            return self.overrides
        seed = self.seeds[self.run]
        return [*self.overrides, f"seed={seed}", f"hydra.sweep.subdir={self.number}/seed_{seed}"]
