"""Gradient Vaccine for steps with any of the tasks. Loads torchjd, which is slow to import."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torchjd.aggregation import GradVacWeighting
from torchjd.linalg import PSDMatrix


class PairwiseGradVac(nn.Module):
    """Gradient Vaccine (Wang et al. 2021), with targets for each pair of tasks.

    torchjd's rule stores its targets by row number and resets them when the number of rows
    changes. This class gives it the targets of a step's tasks, and stores the updated ones.

    Args:
        beta: rate at which a target follows the observed cosines, 0 to 1.
        tasks: number of all tasks, K.

    Attributes:
        targets: lower bound for the cosine of each pair of tasks, (K, K). Not symmetric, since
            only the gradient of a pair's first task is changed.
    """

    targets: Tensor

    def __init__(self, beta: float, tasks: int) -> None:
        super().__init__()
        self.rule = GradVacWeighting(beta)
        self.register_buffer("targets", torch.zeros(tasks, tasks, dtype=torch.float64))

    def forward(self, gramian: Tensor, tasks: Sequence[int]) -> Tensor:
        """Weights (k,) of the rows.

        Args:
            gramian: Gramian of the rows, (k, k), float64.
            tasks: the number of each row's task, from 0 to K - 1.
        """
        pairs = torch.tensor(tasks)[:, None], torch.tensor(tasks)
        # torchjd has no public access to the targets; a test names both attributes.
        self.rule.register_buffer("_phi_t", self.targets[pairs])
        self.rule._state_key = (len(tasks), gramian.dtype)
        weights: Tensor = self.rule(cast(PSDMatrix, gramian))
        self.targets[pairs] = self.rule.get_buffer("_phi_t")
        self.rule.reset()
        return weights
