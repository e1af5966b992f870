"""The best evaluation of a component: which of its weights are kept, and how long ago."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass
class Selection:
    """The best evaluation of some tasks that train together.

    Attributes:
        best: mean of their metrics, correlations as (r + 1) / 2.
        step: finished updates of all phases at the best evaluation; None before the first.
        stale: evaluations of this phase since the best.
    """

    tasks: tuple[str, ...]
    best: float = -math.inf
    step: int | None = None
    stale: int = 0

    def improves(self, values: Mapping[str, float], step: int) -> bool:
        """Records an evaluation; returns whether it is better than those before it.

        Args:
            values: each task's metric, correlations as (r + 1) / 2.
            step: finished updates of all phases.
        """
        mean = float(np.mean([values[task] for task in self.tasks]))
        # A first evaluation counts whatever it is: its weights are the only ones.
        better = self.step is None or mean > self.best
        self.stale += 1
        if better:
            self.best, self.step, self.stale = mean, step, 0
        return better
