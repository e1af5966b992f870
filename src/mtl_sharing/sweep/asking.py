"""The next trial: the reference first, then a grid's points in order or what a sampler draws."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import FrozenTrial, Trial, TrialState

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.regimes import Composer, Regime
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.space import Space
from mtl_sharing.sweep.study import (
    IDENTITY,
    OVERRIDES,
    REFERENCE,
    REGIME,
    SAME_AS,
    Book,
    is_grid,
    make_sampler,
)

# A sampler that answers itself so often in a row has no more to say.
_SAME_IN_A_ROW = 50
# Up to here a space's points are counted, to end where all of them are known.
MOST_COUNTED = 10_000
# A sweep computes its objectives itself, over all trials.
FOR_EVERY_TRIAL = ("score.objective=performance",)


@dataclass(frozen=True)
class Asked:
    """A new trial.

    Attributes:
        regime: what it trains; None where its settings do not fit.
        reason: why they do not.
        same_as: the earlier trial that it equals.
    """

    number: int
    overrides: list[str]
    regime: Regime | None = None
    reason: str | None = None
    same_as: int | None = None


@dataclass
class Asker:
    """Asks the study for trials, within the budget.

    Attributes:
        fixed: overrides that every trial has.
        deadline: no trial begins after this moment of the monotonic clock.
    """

    book: Book
    space: Space
    options: SweeperConfig
    fixed: Sequence[str]
    composer: Composer
    deadline: float = float("inf")
    points: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.points = count_points(self.space)

    def next(self) -> Asked | None:
        """The next trial; None where budget or space are at their end.

        Raises:
            UserError: a grid over a parameter without end.
        """
        if time.monotonic() >= self.deadline:
            return None
        with self.book.alone():
            trials = self.book.trials()
            if not self._goes_on(trials):
                return None
            if self.options.reference and not trials:
                return self._reference()
            return self._grid(trials) if is_grid(self.options) else self._drawn(trials)

    def _goes_on(self, trials: Sequence[FrozenTrial]) -> bool:
        own = [trial for trial in trials if SAME_AS not in trial.user_attrs]
        most = self.options.n_trials
        if most is not None and len(own) >= most:
            return False
        if self.points is not None:
            return len(known_points(trials)) < self.points or not trials
        latest = trials[-_SAME_IN_A_ROW:]
        return len(latest) < _SAME_IN_A_ROW or any(t in own for t in latest)

    def _reference(self) -> Asked:
        overrides = [*reference_overrides(self.fixed), *FOR_EVERY_TRIAL]
        regime = self.composer.regime(overrides)
        if not regime.separate:
            found = f"{regime.words}, of sharing=individual with this sweep's settings"
            raise UserError("hydra.sweeper.reference", found,
                            "false, or score.reference=NUMBER")  # fmt: skip
        trial = self.book.ask(make_sampler(self.options, 0))
        trial.set_user_attr(REFERENCE, True)
        return self._noted(trial, overrides, regime, None)

    def _grid(self, trials: Sequence[FrozenTrial]) -> Asked | None:
        known = known_points(trials)
        fresh = (point for point in self.space.points() if as_key(point) not in known)
        point = next(fresh, None)
        if point is None:
            return None
        trial = self.book.ask(make_sampler(self.options, len(trials)), point)
        return self._composed(trial, trials)

    def _drawn(self, trials: Sequence[FrozenTrial]) -> Asked:
        return self._composed(self.book.ask(make_sampler(self.options, len(trials))), trials)

    def _composed(self, trial: Trial, trials: Sequence[FrozenTrial]) -> Asked:
        point = self.space.draw(trial._suggest)  # takes any distribution; as upstream does
        overrides = [*self.fixed, *self.space.words(point), *FOR_EVERY_TRIAL]
        try:
            regime = self.composer.regime(overrides)
        except (UserError, HydraException, OmegaConfBaseException) as error:
            reason = " ".join(str(error).split())
            trial.set_user_attr(OVERRIDES, overrides)
            return Asked(trial.number, overrides, reason=reason)
        return self._noted(trial, overrides, regime, equal_trial(trials, regime.identity))

    def _noted(
        self, trial: Trial, overrides: list[str], regime: Regime, same_as: int | None
    ) -> Asked:
        facts: dict[str, Any] = {
            OVERRIDES: overrides,
            REGIME: regime.words,
            IDENTITY: regime.identity,
        }
        facts |= {} if same_as is None else {SAME_AS: same_as}
        for name, value in facts.items():
            trial.set_user_attr(name, value)
        return Asked(trial.number, overrides, regime, same_as=same_as)


def as_key(point: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """A point's values, whatever their order."""
    return tuple(sorted(point.items()))


def known_points(trials: Sequence[FrozenTrial]) -> set[tuple[tuple[str, Any], ...]]:
    """The points of the trials that have one."""
    return {as_key(trial.params) for trial in trials if REFERENCE not in trial.user_attrs}


def equal_trial(trials: Sequence[FrozenTrial], identity: str) -> int | None:
    """The earliest trial that trains the same and was not lost."""
    for trial in trials:
        attributes = trial.user_attrs
        same = attributes.get(IDENTITY) == identity and SAME_AS not in attributes
        if same and trial.state != TrialState.FAIL:
            return trial.number
    return None


def count_points(space: Space) -> int | None:
    """How many points a space has; None for one without end, or with very many."""
    if not space.finite:
        return None
    counted = sum(1 for _ in islice(space.points(), MOST_COUNTED + 1))
    return None if counted > MOST_COUNTED else counted


def reference_overrides(fixed: Sequence[str]) -> list[str]:
    """The overrides of separate models: the sweep's own, without those that say what is shared."""
    kept = [word for word in fixed if not word.lstrip("+~").startswith(("sharing", "split="))]
    return [*kept, "sharing=individual"]
