"""The next trial: the reference first, then a grid's points in order or what a sampler draws."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.space.composer import ComposedTrial
from mtl_sharing.sweep.space.space import Point
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study.study import (
    IDENTITY,
    OVERRIDES,
    REGIME,
    SAME_AS,
    SECONDS,
    SweepStudy,
    drawn_point,
    is_grid,
    is_reference,
    make_sampler,
    trained,
)
from mtl_sharing.sweep.study.views import REFERENCE

# A sampler that answers itself so often in a row has no more to say.
_SAME_IN_A_ROW = 50
# After so many in a finite space, the first point that is not known is taken instead.
_SAME_THEN_NEXT = 3


@dataclass(frozen=True)
class ProposedTrial:
    """A new trial.

    Attributes:
        regime: what it trains; None where its settings do not fit.
        reason: why they do not.
        same_as: the earlier trial that it equals.
    """

    number: int
    overrides: list[str]
    regime: ComposedTrial | None = None
    reason: str | None = None
    same_as: int | None = None


@dataclass(frozen=True)
class TrialProposer:
    """Asks the study for trials, within the budget.

    Attributes:
        deadline: no trial begins after this moment of the monotonic clock; None has no such end.
    """

    book: SweepStudy
    search: SweepSpec
    deadline: float | None = None

    def next(self) -> ProposedTrial | None:
        """The next trial; None where budget or space are at their end.

        Raises:
            UserError: a grid over a parameter without end.
        """
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return None
        with self.book.alone():
            trials = self.book.trials()
            if not self._goes_on(trials):
                return None
            number, fixed = len(trials), None
            facts: dict[str, Any] = {}
            if self.search.options.reference and not trials:
                facts = {REFERENCE: True}
            elif is_grid(self.search.options) or self._draws_the_same(trials):
                fixed = self._fresh(trials)
                if fixed is None:
                    return None
            trial = self.book.ask(self._sampler(number), fixed, **facts)
            return self._asked(trial, trials)

    def again(self, lost: FrozenTrial) -> ProposedTrial:
        """A trial that was lost between the question and the answer."""
        trials = self.book.trials()[: lost.number]
        return self._asked(self.book.open(lost._trial_id, self._sampler(lost.number)), trials)

    def _sampler(self, number: int) -> BaseSampler:
        return make_sampler(self.search.options, number)

    def _goes_on(self, trials: Sequence[FrozenTrial]) -> bool:
        most, points = self.search.options.n_trials, self.search.points
        if most is not None and len(trained(trials)) >= most:
            return False
        if points is not None:
            return len(known_points(trials)) < points or not trials
        latest = trials[-_SAME_IN_A_ROW:]
        return len(latest) < _SAME_IN_A_ROW or bool(trained(latest))

    def _draws_the_same(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether a sampler of a finite space has lately drawn what is known already."""
        latest = trials[-_SAME_THEN_NEXT:]
        same = len(latest) == _SAME_THEN_NEXT and not trained(latest)
        return same and self.search.points is not None

    def _fresh(self, trials: Sequence[FrozenTrial]) -> Point | None:
        """The first point that no trial has."""
        known = known_points(trials)
        return next((p for p in self.search.space.points() if as_key(p) not in known), None)

    def _asked(self, trial: Trial, trials: Sequence[FrozenTrial]) -> ProposedTrial:
        if is_reference(trial):
            overrides = self.search.reference_overrides
        else:
            # Takes any distribution; as upstream does.
            overrides = self.search.overrides(self.search.space.draw(trial._suggest))
        try:
            regime = self.search.composer.compose_trial(overrides)
        except (UserError, HydraException, OmegaConfBaseException) as error:
            reason = " ".join(str(error).split())
            trial.set_user_attr(OVERRIDES, overrides)
            return ProposedTrial(trial.number, overrides, reason=reason)
        return self._noted(trial, overrides, regime, find_duplicate(trials, regime.identity))

    def _noted(
        self, trial: Trial, overrides: list[str], regime: ComposedTrial, same_as: int | None
    ) -> ProposedTrial:
        facts: dict[str, Any] = {
            REGIME: regime.regime,
            IDENTITY: regime.identity,
        }
        facts |= {} if same_as is None else {SAME_AS: same_as}
        facts[OVERRIDES] = overrides  # last: a trial that has them has been answered
        for name, value in facts.items():
            trial.set_user_attr(name, value)
        return ProposedTrial(trial.number, overrides, regime, same_as=same_as)


def as_key(point: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """A point's values, whatever their order."""
    return tuple(sorted(point.items()))


def known_points(trials: Sequence[FrozenTrial]) -> set[tuple[tuple[str, Any], ...]]:
    """The points of the trials that have one; one that was lost before it was drawn has none."""
    points = [drawn_point(trial) for trial in trials if not is_reference(trial)]
    return {as_key(point) for point in points if point}


def find_duplicate(trials: Sequence[FrozenTrial], identity: str) -> int | None:
    """The earliest trial that trains the same and was not lost."""
    for trial in trained(trials):
        if trial.user_attrs.get(IDENTITY) == identity and trial.state != TrialState.FAIL:
            return trial.number
    return None


def hours_left_s(options: SweeperConfig, trials: Sequence[FrozenTrial]) -> float | None:
    """What trials leave of ``hydra.sweeper.hours``, in seconds; None where it has no such end."""
    if options.hours is None:
        return None
    used = sum(trial.user_attrs.get(SECONDS) or 0.0 for trial in trials)
    return max(0.0, options.hours * 3600 - used / options.n_jobs)
