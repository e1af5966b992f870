"""The next trial: the reference first, then a grid's points in order or a sampler's draws."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.space.space import Point
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study.study import (
    IDENTITY,
    OVERRIDES,
    REGIME,
    SAME_AS,
    SECONDS,
    SweepStudy,
    is_grid,
    is_reference,
    trained,
)
from mtl_sharing.sweep.study.views import REFERENCE

# The sweep ends after so many duplicates in a row.
_DUPLICATES_END = 50
# In a finite space, the first unvisited point is taken after so many duplicates in a row.
_DUPLICATES_SKIP = 3


@dataclass(frozen=True)
class ProposedTrial:
    """A new trial.

    Attributes:
        reason: why its settings do not fit, if they do not.
        same_as: the earlier trial that it duplicates.
    """

    number: int
    overrides: list[str]
    reason: str | None = None
    same_as: int | None = None


@dataclass(frozen=True)
class TrialProposer:
    """Adds trials to the study, within the budget.

    Attributes:
        deadline: by the monotonic clock; no trial begins after it. None is no deadline.
    """

    study: SweepStudy
    spec: SweepSpec
    deadline: float | None = None

    def next(self) -> ProposedTrial | None:
        """Adds the next trial; None where budget or space are exhausted.

        Raises:
            UserError: a grid over a parameter with infinitely many values.
        """
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return None
        with self.study.exclusive():
            trials = self.study.trials()
            if self._exhausted(trials):
                return None
            reference = self.spec.options.reference and not trials
            point = distributions = None
            if not reference and (is_grid(self.spec.options) or self._repeats(trials)):
                point = self._first_unvisited(trials)
                if point is None:
                    return None
                distributions = self._distributions(point)
            attributes = {REFERENCE: True} if reference else {}
            number = self.study.add_trial(attributes, point, distributions)
            return self._propose(number, reference, trials)

    def resume(self, lost: FrozenTrial) -> ProposedTrial:
        """Completes a trial that was lost before its overrides were saved."""
        return self._propose(lost.number, is_reference(lost), self.study.trials()[: lost.number])

    def _exhausted(self, trials: Sequence[FrozenTrial]) -> bool:
        most, points = self.spec.options.n_trials, self.spec.points
        if most is not None and len(trained(trials)) >= most:
            return True
        if points is not None:
            return bool(trials) and len(known_points(trials)) >= points
        latest = trials[-_DUPLICATES_END:]
        return len(latest) == _DUPLICATES_END and not trained(latest)

    def _repeats(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether the sampler of a finite space has drawn only duplicates lately."""
        latest = trials[-_DUPLICATES_SKIP:]
        duplicates = len(latest) == _DUPLICATES_SKIP and not trained(latest)
        return duplicates and self.spec.points is not None

    def _first_unvisited(self, trials: Sequence[FrozenTrial]) -> Point | None:
        known = known_points(trials)
        return next((p for p in self.spec.space.points() if as_key(p) not in known), None)

    def _distributions(self, point: Point) -> dict[str, BaseDistribution]:
        distributions: dict[str, BaseDistribution] = {}

        def suggest(name: str, distribution: BaseDistribution) -> Any:
            distributions[name] = distribution
            return point[name]

        self.spec.space.draw(suggest)
        return distributions

    def _propose(
        self, number: int, reference: bool, earlier: Sequence[FrozenTrial]
    ) -> ProposedTrial:
        if reference:
            overrides = self.spec.reference_overrides
        else:
            point = self.study.draw(number, self.spec.options, self.spec.space.draw)
            overrides = self.spec.overrides(point)
        try:
            trial = self.spec.composer.compose_trial(overrides)
        except (UserError, HydraException, OmegaConfBaseException) as error:
            self.study.set_attrs(number, **{OVERRIDES: overrides})
            return ProposedTrial(number, overrides, reason=" ".join(str(error).split()))
        same_as = find_duplicate(earlier, trial.identity)
        attributes: dict[str, Any] = {REGIME: trial.regime, IDENTITY: trial.identity}
        attributes |= {} if same_as is None else {SAME_AS: same_as}
        # The overrides are last: a trial that has them is complete.
        self.study.set_attrs(number, **attributes, **{OVERRIDES: overrides})
        return ProposedTrial(number, overrides, same_as=same_as)


def as_key(point: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """A point's values, whatever their order."""
    return tuple(sorted(point.items()))


def known_points(trials: Sequence[FrozenTrial]) -> set[tuple[tuple[str, Any], ...]]:
    """The points of the trials; one that was lost before its parameters were drawn has none."""
    return {as_key(t.params) for t in trials if t.params and not is_reference(t)}


def find_duplicate(trials: Sequence[FrozenTrial], identity: str) -> int | None:
    """The earliest trial that trains the same and has not failed."""
    for trial in trained(trials):
        if trial.user_attrs.get(IDENTITY) == identity and trial.state != TrialState.FAIL:
            return trial.number
    return None


def hours_left_s(options: SweeperConfig, trials: Sequence[FrozenTrial]) -> float | None:
    """Seconds left of ``hydra.sweeper.hours``; None where they are not limited."""
    if options.hours is None:
        return None
    used = sum(trial.user_attrs.get(SECONDS) or 0.0 for trial in trials)
    return max(0.0, options.hours * 3600 - used / options.n_jobs)
