"""Which tasks a training step takes.

A sampler is a pure function of the draw's number, so that a resumed run draws what the
uninterrupted one would have drawn, without any state of its own. A draw is a step, or a
micro-batch where steps accumulate several.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from mtl_sharing.errors import check_known
from mtl_sharing.sampling.alpha import AlphaSchedule, make_schedule
from mtl_sharing.sampling.epochs import Epochs, quotas
from mtl_sharing.sampling.settings import SamplerConfig


class Sampler(Protocol):
    """Names the tasks of each draw."""

    def tasks(self, draw: int) -> tuple[str, ...]:
        """Tasks of draw ``draw``, counted from 0."""
        ...


@dataclass(frozen=True)
class Unified:
    """Every task in every step."""

    names: tuple[str, ...]

    def tasks(self, draw: int) -> tuple[str, ...]:
        """All tasks."""
        return self.names


@dataclass(frozen=True)
class RoundRobin:
    """One task in each step, in turn, each beginning again when it has run out."""

    names: tuple[str, ...]

    def tasks(self, draw: int) -> tuple[str, ...]:
        """The task whose turn it is."""
        return (self.names[draw % len(self.names)],)


@dataclass(frozen=True)
class Ordered:
    """Every epoch takes each task's batches once, in the same order.

    Attributes:
        batches: of each task in an epoch.
        in_turn: a batch of each task that has some left, or all of one task after the other.
    """

    batches: Mapping[str, int]
    epochs: Epochs
    in_turn: bool

    def tasks(self, draw: int) -> tuple[str, ...]:
        """The task at this place of the epoch."""
        order = self._orders[self.epochs.of(draw)]
        return (order[min(self.epochs.place(draw), len(order) - 1)],)

    @cached_property
    def _orders(self) -> list[tuple[str, ...]]:
        return [self._order(counts) for counts in quotas(self.batches, self.epochs.lengths)]

    def _order(self, counts: Mapping[str, int]) -> tuple[str, ...]:
        turns = [(turn, name) for name, count in counts.items() for turn in range(count)]
        if self.in_turn:
            turns.sort(key=lambda pair: pair[0])  # stable: the tasks stay in their order
        return tuple(name for _, name in turns)


@dataclass(frozen=True)
class Drawn:
    """One task in each step, drawn with ``p_i ~ N_i ** alpha`` (Stickland and Murray 2019)."""

    sizes: Mapping[str, int]
    schedule: AlphaSchedule
    epochs: Epochs
    seed: int

    def alpha(self, draw: int) -> float:
        """The exponent at this draw."""
        return self.schedule.alpha(self.epochs.of(draw), self.epochs.count)

    def probabilities(self, draw: int) -> np.ndarray:
        """The chance of each task at this draw, in the order of ``sizes``."""
        sizes = np.array(list(self.sizes.values()), dtype=float)
        powers = (sizes / sizes.max()) ** self.alpha(draw)
        found: np.ndarray = powers / powers.sum()
        return found

    def tasks(self, draw: int) -> tuple[str, ...]:
        """The task drawn."""
        random = np.random.default_rng([self.seed, draw])
        return (list(self.sizes)[random.choice(len(self.sizes), p=self.probabilities(draw))],)


SAMPLERS = ("unified", "round_robin", "sequential", "temperature", "annealed")
EXHAUSTED = ("recycle", "stop")


def check_sampler(config: SamplerConfig) -> None:
    """Raises UserError for an unknown name, rule or shape, or an exponent outside 0 to 1."""
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
    """The sampler that the config asks for.

    Args:
        sizes: training examples of each task.
        batches: batches that these make.

    Raises:
        UserError: as :func:`check_sampler`.
    """
    check_sampler(config)
    names = tuple(sizes)
    if config.name == "unified":
        return Unified(names)
    if config.name == "round_robin" and config.exhausted == "recycle":
        return RoundRobin(names)
    if config.name in ("round_robin", "sequential"):
        return Ordered(batches, epochs, in_turn=config.name == "round_robin")
    return Drawn(sizes, make_schedule(config), epochs, seed)


def epoch_draws(name: str, sizes: Mapping[str, int], batch_sizes: Mapping[str, int]) -> int:
    """Draws after which as many examples were taken as the training sets hold together.

    For samplers that take one task a draw, each task's batches are counted by themselves, so
    tasks with batch sizes of their own weigh in by their number of batches.
    """
    if name == "unified":
        return max(1, round(sum(sizes.values()) / sum(batch_sizes.values())))
    return sum(batches_of(sizes, batch_sizes).values())


def batches_of(sizes: Mapping[str, int], batch_sizes: Mapping[str, int]) -> dict[str, int]:
    """Batches of each task, the last one perhaps not full."""
    return {task: -(-size // batch_sizes[task]) for task, size in sizes.items()}
