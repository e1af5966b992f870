"""Which tasks a training step takes.

A sampler is a pure function of the step's number, so that a resumed run draws what the
uninterrupted one would have drawn, without any state of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mtl_sharing.errors import check_known, check_range
from mtl_sharing.mixing.settings import SamplerConfig


class Sampler(Protocol):
    """Names the tasks of each step."""

    def tasks(self, step: int) -> tuple[str, ...]:
        """Tasks of step ``step``, counted from 0."""
        ...


@dataclass(frozen=True)
class Unified:
    """Every task in every step."""

    names: tuple[str, ...]

    def tasks(self, step: int) -> tuple[str, ...]:
        """All tasks."""
        return self.names


@dataclass(frozen=True)
class RoundRobin:
    """One task in each step, in turn."""

    names: tuple[str, ...]

    def tasks(self, step: int) -> tuple[str, ...]:
        """The task whose turn it is."""
        return (self.names[step % len(self.names)],)


@dataclass(frozen=True)
class Proportional:
    """One task in each step, drawn with ``p_i ~ N_i ** alpha``."""

    sizes: Mapping[str, int]
    alpha: float
    seed: int

    def probabilities(self) -> np.ndarray:
        """The chance of each task, in the order of ``sizes``."""
        sizes = np.array(list(self.sizes.values()), dtype=float)
        powers = (sizes / sizes.max()) ** self.alpha
        found: np.ndarray = powers / powers.sum()
        return found

    def tasks(self, step: int) -> tuple[str, ...]:
        """The task drawn for this step."""
        draw = np.random.default_rng([self.seed, step])
        return (list(self.sizes)[draw.choice(len(self.sizes), p=self.probabilities())],)


SAMPLERS = ("unified", "round_robin", "proportional")


def check_sampler(config: SamplerConfig) -> None:
    """Raises UserError for an unknown name or a negative alpha."""
    check_known("sampler.name", config.name, SAMPLERS)
    check_range("sampler.alpha", config.alpha, 0)


def make_sampler(config: SamplerConfig, sizes: Mapping[str, int], seed: int) -> Sampler:
    """The sampler that the config asks for.

    Args:
        sizes: training examples of each task.

    Raises:
        UserError: an unknown name, or a negative alpha.
    """
    check_sampler(config)
    names = tuple(sizes)
    if config.name == "unified":
        return Unified(names)
    if config.name == "round_robin":
        return RoundRobin(names)
    return Proportional(sizes, config.alpha, seed)


def epoch_steps(sampler: Sampler, sizes: Mapping[str, int], batch_sizes: Mapping[str, int]) -> int:
    """Steps after which as many examples were drawn as the training sets hold together.

    For samplers that take one task a step, each task's batches are counted by themselves, so
    tasks with batch sizes of their own weigh in by their number of batches.
    """
    if isinstance(sampler, Unified):
        return max(1, round(sum(sizes.values()) / sum(batch_sizes.values())))
    return max(1, sum(-(-size // batch_sizes[task]) for task, size in sizes.items()))
