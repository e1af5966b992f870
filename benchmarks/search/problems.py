"""The problems that strategies are replayed on: known performances, and seeds drawn around them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SEEDS_DRAWN = 64
"""Seeds of a draw: more than any strategy trains one split with."""
_ROUNDING = 1e-12
_LAYERS, _HEIGHT = 12, 0.8
_NEIGHBOURS = 5


@dataclass(frozen=True)
class Problem:
    """Splits with their true performances and costs.

    Attributes:
        splits: shared layers of each split; the first, 0, is separate models, the reference.
        truth: expected performance of each split over all seeds.
        costs: each split's cost relative to separate models; lower is better.
        trainings: what a training of it costs, relative to one of separate models.
        keep: share of the reference's performance that is enough.
    """

    splits: Sequence[int]
    truth: Array
    costs: Array
    trainings: Array
    keep: float = 0.99

    def cheapest(self, performances: Array) -> int:
        """The index of the cheapest split that keeps enough by these performances."""
        enough = performances >= self.keep * performances[0] - _ROUNDING
        enough[0] = True  # also where the reference is below 0
        return int(np.argmin(np.where(enough, self.costs, np.inf)))

    def keeps(self, index: int) -> bool:
        """Whether a split truly keeps enough."""
        return self.shortfall(index) <= _ROUNDING

    def shortfall(self, index: int) -> float:
        """The performance that a split truly lacks of what is enough."""
        return max(0.0, float(self.keep * self.truth[0] - self.truth[index]))


@dataclass(frozen=True)
class Draw:
    """One replay's trainings, of which a strategy may look at as many as it pays for.

    Attributes:
        performances: of each split with each seed, shape (splits, seeds). A column is one seed:
            trainings with equal seeds are paired.
        deviation: standard deviation of the performances over seeds.
        seed: for a strategy's own random numbers.
        evaluations: performances during the trainings, shape (splits, seeds, evaluations).
        percents: share of a training that is done at each evaluation.
    """

    problem: Problem
    performances: Array
    deviation: float
    seed: int
    evaluations: Array | None = None
    percents: tuple[int, ...] = ()


class Source(Protocol):
    """Where draws come from; each is a function of its number and a seed."""

    @property
    def title(self) -> str: ...
    @property
    def has_evaluations(self) -> bool: ...
    def draw(self, number: int, seed: int) -> Draw: ...


@dataclass(frozen=True)
class CurveSource:
    """Random curves over the splits of 12 layers, each with random noise.

    Attributes:
        deviation: of the noise.
        paired: share of its variance that all trainings with one seed have in common.
    """

    deviation: float
    paired: float = 0.0
    has_evaluations = False

    @property
    def title(self) -> str:
        """The source's name in tables."""
        common = f", {self.paired:.0%} of it paired" if self.paired else ""
        return f"random curves, deviation {self.deviation:g}{common}"

    def draw(self, number: int, seed: int) -> Draw:
        """Curve ``number``, the same at every deviation."""
        random = np.random.default_rng([seed, number])
        curve = random_curve(random)
        splits = np.arange(_LAYERS + 1)
        # Layers of three tasks: the shared ones count once.
        costs = 1 - splits * (2 / 3) / _LAYERS
        own = random.normal(0, self.deviation, (len(splits), SEEDS_DRAWN))
        common = random.normal(0, self.deviation, SEEDS_DRAWN)
        noise = np.sqrt(1 - self.paired) * own + np.sqrt(self.paired) * common
        problem = Problem(range(len(splits)), curve, costs, np.ones(len(splits)))
        return Draw(problem, curve[:, None] + noise, self.deviation, number)


def random_curve(random: np.random.Generator) -> Array:
    """A performance for each split of 12 layers: a hump, a late decline, and small steps."""
    splits = np.arange(_LAYERS + 1)
    height, drop = random.uniform(0, 0.03), random.uniform(0.01, 0.12)
    knee, width = random.uniform(4, 13), random.uniform(0.5, 2.5)
    decline = drop / (1 + np.exp(-(splits - knee) / width))
    hump = height * np.sin(np.pi * splits / _LAYERS)
    curve = hump - decline + random.normal(0, 0.002, len(splits))
    return _HEIGHT + curve - curve[0]


@dataclass(frozen=True)
class MeasuredSource:
    """Trainings that were made: the truth is their smoothed mean, the noise is drawn from theirs.

    Attributes:
        trained: final performance of each split with each seed, shape (splits, seeds).
        evaluations, percents: as in :class:`Draw`.
    """

    title: str
    problem: Problem
    trained: Array
    evaluations: Array
    percents: tuple[int, ...]
    has_evaluations = True

    @property
    def residuals(self) -> Array:
        """Each training's deviation from its split's mean, scaled to an unbiased variance."""
        seeds = self.trained.shape[1]
        centred = self.trained - self.trained.mean(axis=1, keepdims=True)
        return centred * np.sqrt(seeds / (seeds - 1))

    def draw(self, number: int, seed: int) -> Draw:
        """Seeds with replacement. A seed's residuals stay together, so trainings remain paired."""
        random = np.random.default_rng([seed, number])
        columns = random.integers(self.trained.shape[1], size=SEEDS_DRAWN)
        residuals = self.residuals
        performances = self.problem.truth[:, None] + residuals[:, columns]
        # A training's curve moves with its end.
        moved = performances - self.trained[:, columns]
        evaluations = self.evaluations[:, columns] + moved[:, :, None]
        deviation = float(np.sqrt((residuals**2).mean()))
        return Draw(self.problem, performances, deviation, number, evaluations, self.percents)


def smoothed(splits: Sequence[int], means: Array) -> Array:
    """The truth: the mean of separate models, and a local quadratic through the other means.

    Each split's value is that of a parabola fitted to its five nearest neighbours (itself among
    them) with tricube weights (Cleveland 1979, "Robust Locally Weighted Regression", without the
    robust weights). Separate models stay as they are: sharing one layer is another kind of model.
    """
    shared = np.array(splits[1:], dtype=float)
    return np.concatenate([means[:1], [_local(shared, means[1:], at) for at in shared]])


def _local(splits: Array, means: Array, at: float) -> float:
    distances = np.abs(splits - at)
    near = np.argsort(distances, kind="stable")[:_NEIGHBOURS]
    reach = distances[near].max() + 1
    weights = (1 - (distances[near] / reach) ** 3) ** 3
    degree = min(2, len(near) - 1)
    # polyfit squares its weights.
    return float(np.polyfit(splits[near] - at, means[near], degree, w=np.sqrt(weights))[-1])
