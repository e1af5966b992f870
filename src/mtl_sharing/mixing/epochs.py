"""How a training falls into epochs."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Epochs:
    """A training of some draws (steps, or micro-batches where steps accumulate several).

    Epochs are equally long, apart from a fraction at the end. A training that is cut short by
    ``trainer.max_steps`` has as many epochs, each shorter: schedules still run their whole course.

    Attributes:
        draws: of the whole training.
        number: of epochs; 2.5 is two and a half.
    """

    draws: int
    number: float

    @property
    def count(self) -> int:
        """Epochs, one begun at the end counted whole."""
        return max(1, math.ceil(self.number))

    def of(self, draw: int) -> int:
        """The epoch, from 0, that draw number ``draw``, from 0, lies in."""
        return min(self.count - 1, int(draw * self.number / max(1, self.draws)))

    @property
    def length(self) -> int:
        """Draws of a whole epoch."""
        return max(1, round(self.draws / self.number))

    def place(self, draw: int) -> int:
        """Which draw of its epoch it is, from 0."""
        return draw - math.ceil(self.of(draw) * self.draws / self.number)


def quotas(batches: Mapping[str, int], length: int) -> dict[str, int]:
    """How many of an epoch's ``length`` draws each task has, in proportion to its batches.

    Exactly its batches where these add up to ``length``.
    """
    ends = [
        round(length * end / sum(batches.values()))
        for end in itertools.accumulate(batches.values())
    ]
    starts = [0, *ends[:-1]]
    return {task: end - start for task, start, end in zip(batches, starts, ends, strict=True)}
