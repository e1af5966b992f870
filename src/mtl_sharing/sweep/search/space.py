"""A sweep's space as the search sees it: a list of regimes with their features and costs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from mtl_sharing.errors import UserError
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.score.flops import prediction_flops, training_flops
from mtl_sharing.score.layer_flops import TextSize
from mtl_sharing.score.objectives import Multipliers, saved_cost
from mtl_sharing.score.parameters import plan_cost
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.sweep.search.candidates import Candidates
from mtl_sharing.sweep.search.kernel import CATEGORY, DEPTH, SETTING, UNSET
from mtl_sharing.sweep.space.composer import ComposedTrial
from mtl_sharing.sweep.space.space import Point, Space
from mtl_sharing.sweep.space.spec import is_sharing, key_of

MOST = 400
"""A larger space, or one without steps, is searched at so many of its points."""
_DEPTHS = "sharing.depths."
_LETTERS = ("F", "SG", "T")
# Overrides that change neither the parameters nor the operations of a regime.
_FREE = ("sampler", "loss", "regularizer", "optimizer", "scheduler", "trainer")
# Two texts that stand for all: costs are compared with each other, and differ little by length.
_TEXT = TextSize.of([32, 32])


@dataclass(frozen=True)
class SearchSpace:
    """The regimes of a search.

    Attributes:
        points: the point of each candidate; None for separate models.
        trials: its composed trial; those of equal cost may share one.
    """

    points: tuple[Point | None, ...]
    trials: tuple[ComposedTrial, ...]
    candidates: Candidates

    def index(self, point: Point | None) -> int | None:
        """The candidate at a point; None where it is none."""
        return self._indices.get(_frozen(point))

    @cached_property
    def _indices(self) -> dict[Any, int]:
        return {_frozen(point): number for number, point in enumerate(self.points)}


def _frozen(point: Point | None) -> Any:
    return None if point is None else frozenset(point.items())


def search_space(
    space: Space,
    compose_trial: Callable[[Point], ComposedTrial],
    reference: ComposedTrial,
    score: ScoreConfig,
    seed: int,
) -> SearchSpace:
    """The candidates of a sweep: every point of its space, or evenly drawn ones of a larger space.

    Of points with the same plan, parts and other settings one stays.

    Args:
        compose_trial: the trial of a point.
        reference: the trial of separate models.
        score: what a cost is.
        seed: of the draws.

    Raises:
        UserError: a setting that does not fit, or no regime beside separate models.
    """
    compose, seen = _Composer(space, compose_trial), set[tuple[str, ...]]()
    points: list[Point | None] = [None]
    trials = [reference]
    # Points with few settings first: of equal regimes they are the plainest.
    for point in sorted(_points(space, seed), key=len):
        trial = compose(point)
        key = (trial.regime, *compose.beside_sharing(point))
        if not trial.is_baseline and key not in seen:
            points.append(point)
            trials.append(trial)
            seen.add(key)
    if len(points) == 1:
        raise UserError("the sweep's space", "separate models alone", "a regime that shares layers")
    architectures = [trial.run_spec.architecture for trial in trials]
    columns = [*_depth_columns(architectures), *_setting_columns(space, points)]
    kinds, values = zip(*columns, strict=True)
    costs, trainings = _costs(trials, score)
    candidates = Candidates(np.column_stack(values), tuple(kinds), costs, trainings)
    return SearchSpace(tuple(points), tuple(trials), candidates)


def _points(space: Space, seed: int) -> Iterator[Point]:
    if space.finite:
        points = list(islice(space.points(), MOST + 1))
        if len(points) <= MOST:
            return iter(points)
    random, seen = np.random.default_rng(seed), []
    for _ in range(10 * MOST):
        point = space.draw(lambda _, distribution: _random_value(random, distribution))
        if point not in seen:
            seen.append(point)
        if len(seen) == MOST:
            break
    return iter(seen)


def _random_value(random: np.random.Generator, distribution: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[random.integers(len(distribution.choices))]
    low, high, step = distribution.low, distribution.high, distribution.step
    if distribution.log:
        value = float(np.exp(random.uniform(np.log(low), np.log(high))))
        return value if step is None else round(value)
    if step is not None:
        return low + step * int(random.integers(round((high - low) / step) + 1))
    return float(random.uniform(low, high))


class _Composer:
    """Composes the trials of points; settings without a cost do not make a new one."""

    def __init__(self, space: Space, compose_trial: Callable[[Point], ComposedTrial]) -> None:
        self._space, self._compose = space, compose_trial
        self._trials: dict[tuple[str, ...], ComposedTrial] = {}

    def __call__(self, point: Point) -> ComposedTrial:
        key = tuple(o for o in self._space.overrides(point) if not key_of(o).startswith(_FREE))
        if key not in self._trials:
            self._trials[key] = self._compose(point)
        return self._trials[key]

    def beside_sharing(self, point: Point) -> list[str]:
        """The overrides of a point that a regime's own text does not show."""
        overrides = self._space.overrides(point)
        return [override for override in overrides if not is_sharing(key_of(override))]


def _depth_columns(architectures: Sequence[Architecture]) -> Iterator[tuple[str, list[float]]]:
    """Shares of the layers that are frozen, shared and tied."""
    for letters in _LETTERS:
        yield DEPTH, [_share(architecture, letters) for architecture in architectures]


def _share(architecture: Architecture, letters: str) -> float:
    layers = architecture.plan.layers
    return sum(own.letter in letters for own in layers) / len(layers)


def _setting_columns(
    space: Space, points: Sequence[Point | None]
) -> Iterator[tuple[str, list[float]]]:
    """A column for each parameter that is no depth."""
    for name, distribution in space.distributions.items():
        if name == "split" or name.startswith(_DEPTHS):
            continue
        kind, scale = _scale(distribution)
        values = [UNSET if p is None or name not in p else scale(p[name]) for p in points]
        yield kind, values


def _scale(distribution: BaseDistribution) -> tuple[str, Callable[[Any], float]]:
    """The kind of a parameter, and its values as numbers from 0: names by their order."""
    if isinstance(distribution, CategoricalDistribution):
        choices = list(distribution.choices)
        sizes = [_size(choice) for choice in choices]
        if any(size is None for size in sizes):
            return CATEGORY, lambda value: float(choices.index(value))
        order = sorted(range(len(choices)), key=lambda i: sizes[i] or 0.0)
        rank = {choices[i]: number / max(1, len(order) - 1) for number, i in enumerate(order)}
        return SETTING, lambda value: rank[value]
    attributes = vars(distribution)
    low, high, is_log = attributes["low"], attributes["high"], attributes["log"]
    if low == high:
        return SETTING, lambda value: 0.0
    if is_log:
        return SETTING, lambda value: float(np.log(value / low) / np.log(high / low))
    return SETTING, lambda value: (value - low) / (high - low)


def _size(choice: Any) -> float | None:
    """A choice as a number, such as 1/16, and 0 for none at all; None for a name."""
    if choice is None or str(choice) == "null":
        return 0.0
    try:
        return None if isinstance(choice, bool) else float(Fraction(str(choice)))
    except (ValueError, ZeroDivisionError):
        return None


def _costs(trials: Sequence[ComposedTrial], score: ScoreConfig) -> tuple[Any, Any]:
    """Costs of each regime and its training, as the score counts, relative to separate models'."""
    costs, trainings = [], []
    for trial in trials:
        regime, unshared = trial.run_spec.architecture, trial.run_spec.baseline
        train, unshared_train = _training(regime), _training(unshared)
        memory = plan_cost(unshared).model_bytes / plan_cost(regime).model_bytes
        time = unshared_train / train
        if score.time == "predict":
            time = prediction_flops(unshared, _TEXT) / prediction_flops(regime, _TEXT)
        saved = saved_cost(Multipliers(memory, time), score.memory_exponent, score.time_exponent)
        costs.append(1 / saved)
        trainings.append(train / unshared_train)
    return np.array(costs), np.array(trainings)


def _training(architecture: Architecture) -> int:
    texts = dict.fromkeys(architecture.plan.tasks, _TEXT)
    return sum(training_flops(architecture, texts).values())
