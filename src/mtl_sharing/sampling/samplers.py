"""Samplers: the tasks of each draw of a training.

A sampler is a pure function of the draw's number and has no state, so that a resumed run draws the
same tasks as an uninterrupted one. A draw is one micro-batch of a step.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from mtl_sharing.errors import check_known, check_range
from mtl_sharing.sampling.epochs import Epochs, epoch_quotas
from mtl_sharing.sampling.settings import SamplerConfig

SAMPLERS = ("unified", "round_robin", "sequential", "temperature", "annealed")
EXHAUSTED = ("recycle", "stop")
SHAPES = ("linear", "cosine", "step")


@dataclass(frozen=True)
class AlphaSchedule:
    """An exponent that moves from ``start`` in the first epoch to ``end`` in the last.

    Linear from 1 to 0.2 is the schedule of Stickland and Murray 2019:
    ``alpha = 1 - 0.8 (e - 1) / (E - 1)`` in epoch ``e`` of ``E``.

    Attributes:
        shape: ``linear``, ``cosine`` (half a wave) or ``step`` (at once in the middle).
    """

    start: float
    end: float
    shape: str = "linear"

    def alpha(self, epoch: int, epochs: int) -> float:
        """The exponent in epoch ``epoch``, from 0, of ``epochs``; a single epoch has ``start``."""
        progress = epoch / (epochs - 1) if epochs > 1 else 0.0
        if self.shape == "cosine":
            progress = (1 - math.cos(math.pi * progress)) / 2
        elif self.shape == "step":
            progress = float(progress >= 0.5)
        return self.start + (self.end - self.start) * progress


def make_schedule(config: SamplerConfig) -> AlphaSchedule:
    """Makes the schedule of a sampler that draws by size; ``temperature`` has a constant one.

    Raises UserError for an exponent outside 0 to 1, or an unknown shape.
    """
    for name in ("alpha", "start", "end"):
        check_range(f"sampler.{name}", getattr(config, name), 0, 1)
    check_known("sampler.shape", config.shape, SHAPES)
    if config.name != "annealed":
        return AlphaSchedule(config.alpha, config.alpha)
    return AlphaSchedule(config.start, config.end, config.shape)


class Sampler(Protocol):
    """Chooses the tasks of each draw."""

    def tasks(self, draw: int) -> tuple[str, ...]:
        """The tasks of draw ``draw``, counted from 0."""
        ...


@dataclass(frozen=True)
class Unified:
    """Every task in every draw."""

    names: tuple[str, ...]

    def tasks(self, draw: int) -> tuple[str, ...]:
        """All tasks."""
        return self.names


@dataclass(frozen=True)
class RoundRobin:
    """One task in each step, in turn; a task that has run out of examples begins again."""

    names: tuple[str, ...]

    def tasks(self, draw: int) -> tuple[str, ...]:
        """The task whose turn it is."""
        return (self.names[draw % len(self.names)],)


@dataclass(frozen=True)
class Ordered:
    """Every epoch takes each task's batches once, in a fixed order.

    Attributes:
        batches: batches of each task in an epoch.
        in_turn: true for a batch of each task in turn, false for one task after the other.
    """

    batches: Mapping[str, int]
    epochs: Epochs
    in_turn: bool

    def tasks(self, draw: int) -> tuple[str, ...]:
        """The task at this position of the epoch."""
        order = self._orders[self.epochs.of(draw)]
        return (order[min(self.epochs.position(draw), len(order) - 1)],)

    @cached_property
    def _orders(self) -> list[tuple[str, ...]]:
        return [self._order(counts) for counts in epoch_quotas(self.batches, self.epochs.lengths)]

    def _order(self, counts: Mapping[str, int]) -> tuple[str, ...]:
        turns = [(turn, name) for name, count in counts.items() for turn in range(count)]
        if self.in_turn:
            turns.sort(key=lambda pair: pair[0])  # stable: the tasks stay in their order
        return tuple(name for _, name in turns)


@dataclass(frozen=True)
class Drawn:
    """One task in each draw, at random with ``p_i ~ N_i ** alpha`` (Stickland and Murray 2019)."""

    sizes: Mapping[str, int]
    schedule: AlphaSchedule
    epochs: Epochs
    seed: int

    def alpha(self, draw: int) -> float:
        """The exponent at this draw."""
        return self.schedule.alpha(self.epochs.of(draw), self.epochs.count)

    def probabilities(self, draw: int) -> np.ndarray:
        """The probability of each task at this draw, in the order of ``sizes``."""
        sizes = np.array(list(self.sizes.values()), dtype=float)
        powers = (sizes / sizes.max()) ** self.alpha(draw)
        probabilities: np.ndarray = powers / powers.sum()
        return probabilities

    def tasks(self, draw: int) -> tuple[str, ...]:
        """The task drawn."""
        random = np.random.default_rng([self.seed, draw])
        return (list(self.sizes)[random.choice(len(self.sizes), p=self.probabilities(draw))],)


def check_sampler(config: SamplerConfig) -> None:
    """Raises UserError for an unknown name, ``exhausted`` or shape, or a bad exponent."""
    check_known("sampler.name", config.name, SAMPLERS)
    check_known("sampler.exhausted", config.exhausted, EXHAUSTED)
    make_schedule(config)


def make_sampler(
    config: SamplerConfig,
    sizes: Mapping[str, int],
    batches: Mapping[str, int],
    epochs: Epochs,
    seed: int,
) -> Sampler:
    """Makes the sampler of the config; raises as :func:`check_sampler`.

    Args:
        sizes: training examples of each task.
        batches: batches of each task in an epoch.
    """
    check_sampler(config)
    names = tuple(sizes)
    recycle, drawn = (
        config.exhausted == "recycle",
        Drawn(sizes, make_schedule(config), epochs, seed),
    )
    samplers: dict[str, Sampler] = {
        "unified": Unified(names),
        "round_robin": RoundRobin(names) if recycle else Ordered(batches, epochs, in_turn=True),
        "sequential": Ordered(batches, epochs, in_turn=False),
        "temperature": drawn,
        "annealed": drawn,
    }
    return samplers[config.name]


def epoch_draws(name: str, sizes: Mapping[str, int], batch_sizes: Mapping[str, int]) -> int:
    """Draws of an epoch, which takes as many examples as the training sets hold together.

    Samplers of one task per draw need the batches of all tasks, also where batch sizes differ.
    """
    if name == "unified":
        return max(1, round(sum(sizes.values()) / sum(batch_sizes.values())))
    return sum(batches_of(sizes, batch_sizes).values())


def batches_of(sizes: Mapping[str, int], batch_sizes: Mapping[str, int]) -> dict[str, int]:
    """Batches of each task; the last may be smaller."""
    return {task: -(-size // batch_sizes[task]) for task, size in sizes.items()}
