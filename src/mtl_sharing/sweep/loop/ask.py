"""The next trial: the reference first, then a grid's points in order or a sampler's draws."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.loop.running import RunningTrial
from mtl_sharing.sweep.loop.search import Proposal, RegimeSearch
from mtl_sharing.sweep.settings import SweeperConfig, is_search, seeds_of_trial
from mtl_sharing.sweep.space.space import Point
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study import attributes
from mtl_sharing.sweep.study.attributes import is_reference, trained
from mtl_sharing.sweep.study.components import is_grid
from mtl_sharing.sweep.study.records import TrialResult
from mtl_sharing.sweep.study.study import SweepStudy, folder_lock

# The sweep ends after so many duplicates in a row.
_DUPLICATES_END = 50
# In a finite space, the first unvisited point is taken after so many duplicates in a row.
_DUPLICATES_SKIP = 3


@dataclass(frozen=True)
class TrialProposer:
    """Adds trials to the study, within the budget; none after ``deadline`` (monotonic clock)."""

    study: SweepStudy
    spec: SweepSpec
    deadline: float | None = None

    @cached_property
    def search(self) -> RegimeSearch | None:
        """The search that proposes trials with ``sampler=search``; None for another sampler."""
        return RegimeSearch(self.spec) if is_search(self.spec.options) else None

    def next(self) -> RunningTrial | None:
        """Adds the next trial; None where budget or space are exhausted."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return None
        with folder_lock(self.study.folder):
            trials = self.study.trials()
            if self._exhausted(trials):
                return None
            if self.search is not None:
                number = self._add_training(self.search.next(trials))
            elif self.spec.options.reference and not trials:
                number = self.study.add_trial({attributes.REFERENCE: True})
            elif is_grid(self.spec.options) or (
                self.spec.points is not None and _only_duplicates(trials, _DUPLICATES_SKIP)
            ):
                known = known_points(trials)
                unvisited = (p for p in self.spec.space.points() if _key(p) not in known)
                if (point := next(unvisited, None)) is None:
                    return None
                number = self.study.add_trial({}, point, self._distributions(point))
            else:
                number = self.study.add_trial({})
            if number is None:
                return None
            return self._compose(self.study.trial(number), trials)

    def _add_training(self, proposal: Proposal | None) -> int | None:
        """Adds a search's next training; None where it has its answer."""
        if proposal is None:
            return None
        known: dict[str, Any] = {attributes.SEED: proposal.seed}
        if proposal.point is None:
            return self.study.add_trial({attributes.REFERENCE: True, **known})
        distributions = self._distributions(proposal.point)
        return self.study.add_trial(known, proposal.point, distributions)

    def resume(self, lost: FrozenTrial) -> RunningTrial:
        """A lost trial as it was left."""
        if attributes.OVERRIDES not in lost.user_attrs:
            return self._compose(lost, self.study.trials()[: lost.number])
        same_as = lost.user_attrs.get(attributes.SAME_AS)
        before_s = lost.user_attrs.get(attributes.SECONDS) or 0.0
        overrides = lost.user_attrs[attributes.OVERRIDES]
        return self._running(lost.number, overrides, same_as=same_as, before_s=before_s)

    def _exhausted(self, trials: Sequence[FrozenTrial]) -> bool:
        most, points = self.spec.options.n_trials, self.spec.points
        if most is not None and len(trained(trials)) >= most:
            return True
        if self.search is not None:
            return False
        if points is not None:
            return bool(trials) and len(known_points(trials)) >= points
        return _only_duplicates(trials, _DUPLICATES_END)

    def _distributions(self, point: Point) -> dict[str, BaseDistribution]:
        distributions: dict[str, BaseDistribution] = {}

        def suggest(name: str, distribution: BaseDistribution) -> Any:
            distributions[name] = distribution
            return point[name]

        self.spec.space.draw(suggest)
        return distributions

    def _compose(self, trial: FrozenTrial, earlier: Sequence[FrozenTrial]) -> RunningTrial:
        """Draws the trial's parameters, and saves what follows from them."""
        number, options = trial.number, self.spec.options
        if is_reference(trial):
            overrides = [*self.spec.reference_overrides]
        else:
            overrides = self.spec.overrides(self.study.draw(number, options, self.spec.space.draw))
        if (seed := trial.user_attrs.get(attributes.SEED)) is not None:
            overrides.append(f"seed={seed}")
        try:
            composed = self.spec.composer.compose_trial(overrides)
        except (UserError, HydraException, OmegaConfBaseException) as error:
            self.study.set_attrs(number, **{attributes.OVERRIDES: overrides})
            result = TrialResult(TrialState.FAIL, {}, " ".join(str(error).split()))
            return self._running(number, overrides, result=result)
        facts: dict[str, Any] = {attributes.REGIME: composed.regime}
        facts[attributes.IDENTITY] = composed.identity
        # The earliest trial that trains the same and has not failed.
        same_as = next((
            other.number for other in trained(earlier) if other.state != TrialState.FAIL
            and other.user_attrs.get(attributes.IDENTITY) == composed.identity
        ), None)  # fmt: skip
        if same_as is not None:
            facts[attributes.SAME_AS] = same_as
        # The overrides are last: a trial that has them is complete.
        self.study.set_attrs(number, **facts, **{attributes.OVERRIDES: overrides})
        return self._running(number, overrides, same_as=same_as)

    def _running(self, number: int, overrides: list[str], **known: Any) -> RunningTrial:
        folder, seeds = self.study.folder / str(number), seeds_of_trial(self.spec.options)
        return RunningTrial(number, overrides, folder, seeds, **known)


def _only_duplicates(trials: Sequence[FrozenTrial], count: int) -> bool:
    """Whether the latest ``count`` trials all equal earlier ones."""
    return len(trials) >= count and not trained(trials[-count:])


def _key(point: Point) -> frozenset[tuple[str, Any]]:
    return frozenset(point.items())


def known_points(trials: Sequence[FrozenTrial]) -> set[frozenset[tuple[str, Any]]]:
    """The points of the trials; one that was lost before its parameters were drawn has none."""
    return {_key(trial.params) for trial in trials if trial.params and not is_reference(trial)}


def hours_left_s(options: SweeperConfig, trials: Sequence[FrozenTrial]) -> float | None:
    """Seconds left of ``hydra.sweeper.hours``; None where they are not limited."""
    if options.hours is None:
        return None
    used = sum(trial.user_attrs.get(attributes.SECONDS) or 0.0 for trial in trials)
    return max(0.0, options.hours * 3600 - used / options.n_jobs)
