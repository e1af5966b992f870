"""Division of a training into epochs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Epochs:
    """The epochs of a training, in draws (micro-batches of all its steps).

    Epochs are equally long, apart from a fraction at the end. A training shortened by
    ``trainer.max_steps`` keeps its number of epochs, so that schedules are completed.

    Attributes:
        number: number of epochs; 2.5 is two and a half.
    """

    draws: int
    number: float

    @property
    def count(self) -> int:
        """Number of epochs, a fraction at the end counted as one."""
        return max(1, math.ceil(self.number))

    def of(self, draw: int) -> int:
        """The epoch of a draw, both counted from 0."""
        return min(self.count - 1, int(draw * self.number / max(1, self.draws)))

    def start(self, epoch: int) -> int:
        """The first draw of an epoch; after the last epoch the number of draws."""
        return min(self.draws, math.ceil(epoch * self.draws / self.number))

    @property
    def lengths(self) -> list[int]:
        """Draws of each epoch."""
        return [self.start(epoch + 1) - self.start(epoch) for epoch in range(self.count)]

    def position(self, draw: int) -> int:
        """The draw's position in its epoch, from 0."""
        return draw - self.start(self.of(draw))


def epoch_quotas(batches: Mapping[str, int], lengths: Sequence[int]) -> list[dict[str, int]]:
    """Distributes each epoch's draws over the tasks, in proportion to their batches.

    An epoch as long as all batches together gives each task exactly its own. A remainder lost to
    rounding is carried to the next epoch, so that a short training leaves no task out.
    """
    total = sum(batches.values())
    owed, quotas = dict.fromkeys(batches, 0), []  # owed in fractions of 1 / total
    for length in lengths:
        owed = {task: rest + batches[task] * length for task, rest in owed.items()}
        counts = {task: max(0, rest // total - 1) for task, rest in owed.items()}
        owed = {task: rest - counts[task] * total for task, rest in owed.items()}
        for _ in range(length - sum(counts.values())):
            largest = max(owed, key=lambda task: (owed[task], -counts[task]))
            counts[largest] += 1
            owed[largest] -= total
        quotas.append(counts)
    return quotas
