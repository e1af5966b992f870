"""A running trial, from its proposal to its end."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from mtl_sharing.sweep.study.records import TrialResult


@dataclass
class RunningTrial:
    """A running trial that this sweep is responsible for.

    Attributes:
        seeds: the seed of each of its runs; empty for one run with the config's seed.
        same_as: the trial whose result it copies, without training.
        result: how it ended, even if the study must wait for the reference to be told.
        run: position of the current run in ``seeds``.
        begun, ended: by the monotonic clock.
        before_s: seconds that it took in earlier starts of the sweep.
    """

    number: int
    overrides: list[str]
    folder: Path
    seeds: list[int]
    job_id: int | None = None
    same_as: int | None = None
    result: TrialResult | None = None
    run: int = 0
    begun: float = field(default_factory=time.monotonic)
    ended: float | None = None
    before_s: float = 0.0
    metrics_saved: bool = False

    @property
    def seconds(self) -> float:
        """Seconds that the trial has taken, over all starts of the sweep."""
        end = time.monotonic() if self.ended is None else self.ended
        return round(self.before_s + end - self.begun, 1)

    @property
    def busy(self) -> bool:
        """Whether it takes one of the job slots."""
        return self.same_as is None and self.result is None

    @property
    def folders(self) -> list[Path]:
        """The folder of each run."""
        return [self.folder / f"seed_{s}" for s in self.seeds] or [self.folder]

    @property
    def run_overrides(self) -> list[str]:
        """The overrides of the current run."""
        if not self.seeds:
            return self.overrides
        seed = self.seeds[self.run]
        return [*self.overrides, f"seed={seed}", f"hydra.sweep.subdir={self.number}/seed_{seed}"]
