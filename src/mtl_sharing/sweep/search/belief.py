"""The belief about regimes after some trainings: which of them keep enough, and how surely."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from mtl_sharing.run_folder.decision import Question
from mtl_sharing.sweep.search.candidates import (
    REFERENCE,
    Candidates,
    Training,
    reference_mean,
    shifts_of_far,
)
from mtl_sharing.sweep.search.kernel import Values
from mtl_sharing.sweep.search.surrogate import (
    Component,
    Hyperparameters,
    fit,
    prior_draws,
    without_seed,
)

_SAMPLES = 512
# Costs are compared to so many digits.
_DIGITS = 9
# The probability of keeping enough that no regime but the reference reaches.
_BELOW_ONE = float(np.nextafter(1.0, 0.0))


@dataclass(frozen=True)
class Margins:
    """Performance above what is enough, ``f(x) - keep f(reference)``, in one component.

    Attributes:
        mean: shape (C,).
        covariance: shape (C, C).
    """

    weight: float
    mean: Values
    covariance: Values

    @cached_property
    def deviation(self) -> Values:
        """Standard deviations, shape (C,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 1e-16))


@dataclass(frozen=True)
class Belief:
    """The candidates' performances as the trainings so far leave them.

    Attributes:
        components: processes with their weights.
    """

    candidates: Candidates
    trainings: tuple[Training, ...]
    question: Question
    components: Sequence[Component] = field(repr=False)

    @cached_property
    def predictions(self) -> list[tuple[float, Values, Values]]:
        """Weight, mean and covariance of the performances in each component."""
        rows = without_seed(self.candidates.features)
        return [(one.weight, *one.predict(rows)) for one in self.components]

    @cached_property
    def margins(self) -> list[Margins]:
        """The margins in each component."""
        return [Margins(w, *self._margin(m, c)) for w, m, c in self.predictions]

    def _margin(self, mean: Values, covariance: Values) -> tuple[Values, Values]:
        keep = self.question.keep
        rows = covariance - keep * covariance[REFERENCE]
        return mean - keep * mean[REFERENCE], rows - keep * rows[:, REFERENCE, None]

    @cached_property
    def means(self) -> Values:
        """Expected performances, shape (C,)."""
        means = self._means.copy()
        for candidate, shift in shifts_of_far(self.trainings, self.question).items():
            means[candidate] -= shift
        return means

    @cached_property
    def _means(self) -> Values:
        """Expected performances as the surrogate sees them, none far below what is enough."""
        return np.asarray(sum(weight * mean for weight, mean, _ in self.predictions))

    @cached_property
    def deviations(self) -> Values:
        """Standard deviations of the expected performances, shape (C,)."""
        second = sum(w * (m**2 + np.diag(c)) for w, m, c in self.predictions)
        return np.sqrt(np.maximum(second - self._means**2, 0.0))

    @cached_property
    def probabilities(self) -> Values:
        """Probability of each candidate that it keeps enough, shape (C,)."""
        keeps = np.asarray(sum(m.weight * ndtr(m.mean / m.deviation) for m in self.margins))
        probabilities = np.where(self._possible, np.minimum(keeps, _BELOW_ONE), 0.0)
        probabilities[REFERENCE] = 1.0
        return probabilities

    @cached_property
    def _possible(self) -> NDArray[np.bool_]:
        """Whether each candidate beside the reference may be an answer, shape (C,)."""
        # Nothing can be a share of what is not above 0.
        possible = np.full(len(self.candidates), reference_mean(self.trainings) > 0)
        possible[[REFERENCE, *self.candidates.barred]] = False
        return possible

    @cached_property
    def _keeping(self) -> NDArray[np.bool_]:
        """Whether each candidate keeps enough, in draws of all margins; shape (draws, C)."""
        random = np.random.default_rng(0)
        drawn = []
        for own in self.margins:
            count = max(1, round(own.weight * _SAMPLES))
            values, vectors = np.linalg.eigh(own.covariance)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            margins = own.mean + random.normal(size=(count, len(values))) @ root.T
            drawn.append((margins >= 0) & self._possible)
        keeping = np.concatenate(drawn)
        keeping[:, REFERENCE] = True
        return keeping

    @cached_property
    def relevance(self) -> Values:
        """Probability that no candidate to be preferred keeps enough, shape (C,).

        Cheaper candidates are to be preferred, and likelier ones of equal cost: settings that cost
        the same would otherwise make each other irrelevant. 0 for the reference, which always keeps
        enough, and for barred candidates.
        """
        keeping = self._keeping[:, self._order]
        before = np.logical_or.accumulate(keeping, axis=1)[:, :-1]
        relevance = np.ones(len(self.candidates))
        relevance[self._order[1:]] = 1 - before.mean(axis=0)
        return relevance * self._possible

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """Candidates by cost; of equal cost the likelier ones first."""
        return np.lexsort((-self.probabilities, np.round(self.candidates.costs, _DIGITS)))

    def missed(self, chosen: int) -> float:
        """The cost that the cheapest candidate to keep enough is expected to save beside this."""
        costs = self.candidates.costs
        cheapest = np.where(self._keeping, costs, np.inf).min(axis=1)
        return float(np.maximum(0.0, costs[chosen] - cheapest).mean())

    def cheapest_above(self, probability: float) -> int:
        """The cheapest candidate that keeps enough with this probability; likelier ones first."""
        passing = self.probabilities >= probability
        return int(next(i for i in self._order if passing[i]))

    def count(self, candidate: int) -> int:
        """The number of trainings of a candidate."""
        return sum(training.candidate == candidate for training in self.trainings)

    def add(self, training: Training) -> "Belief":
        """The belief after another training, averaged over the hyperparameters of this one."""
        draws = [one.settings for one in self.components]
        return believe(self.candidates, (*self.trainings, training), self.question, draws)


def believe(
    candidates: Candidates,
    trainings: Sequence[Training],
    question: Question,
    draws: Sequence[Hyperparameters] | None = None,
) -> Belief:
    """The belief after one training or more.

    Args:
        draws: hyperparameters to average over; None takes those of the prior.
    """
    features = candidates.features[[t.candidate for t in trainings]]
    rows = np.column_stack([features, [float(t.seed) for t in trainings]])
    shifts = shifts_of_far(trainings, question)
    performances = np.array([t.performance + shifts.get(t.candidate, 0.0) for t in trainings])
    components = fit(
        rows, performances, candidates.kinds, draws or prior_draws(), candidates.held_out
    )
    return Belief(candidates, tuple(trainings), question, components)
