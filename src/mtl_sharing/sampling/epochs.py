"""How a training falls into epochs."""

import math
from collections.abc import Mapping, Sequence
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

    def start(self, epoch: int) -> int:
        """The first draw of an epoch; for the one after the last, how many draws there are."""
        return min(self.draws, math.ceil(epoch * self.draws / self.number))

    @property
    def lengths(self) -> list[int]:
        """Draws of each epoch."""
        return [self.start(epoch + 1) - self.start(epoch) for epoch in range(self.count)]

    def place(self, draw: int) -> int:
        """Which draw of its epoch it is, from 0."""
        return draw - self.start(self.of(draw))


def quotas(batches: Mapping[str, int], lengths: Sequence[int]) -> list[dict[str, int]]:
    """How many of each epoch's draws every task has, in proportion to its batches.

    Exactly its batches where these add up to an epoch. What rounding takes from a task in one epoch
    it has in the next, so that a short training leaves none out.
    """
    total = sum(batches.values())
    owed, found = dict.fromkeys(batches, 0), []  # in parts of a draw, total of which are one
    for length in lengths:
        owed = {task: rest + batches[task] * length for task, rest in owed.items()}
        counts = {task: max(0, rest // total - 1) for task, rest in owed.items()}
        owed = {task: rest - counts[task] * total for task, rest in owed.items()}
        for _ in range(length - sum(counts.values())):
            most = max(owed, key=lambda task: (owed[task], -counts[task]))
            counts[most] += 1
            owed[most] -= total
        found.append(counts)
    return found
