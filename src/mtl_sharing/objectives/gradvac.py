"""Gradient Vaccine for updates of any of the tasks. Loads torchjd, which takes a while."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torchjd.aggregation import GradVacWeighting
from torchjd.linalg import PSDMatrix


class PairwiseGradVac(nn.Module):
    """Gradient Vaccine (Wang et al. 2021), with its targets kept for each pair of tasks.

    torchjd's rule knows its targets by the place of a row and begins anew when the number of rows
    changes. Here it gets those of the tasks at hand, and gives them back.

    Args:
        beta: how fast a target follows the cosines found, 0 to 1.
        tasks: how many there are in all.

    Attributes:
        targets: what the cosine of each pair of tasks should be at least, (K, K); not symmetric,
            as the first of a pair is the one whose gradient is changed.
    """

    targets: Tensor

    def __init__(self, beta: float, tasks: int) -> None:
        super().__init__()
        self.rule = GradVacWeighting(beta)
        self.register_buffer("targets", torch.zeros(tasks, tasks, dtype=torch.float64))

    def forward(self, gramian: Tensor, tasks: Sequence[int]) -> Tensor:
        """Weights (k,) of the rows.

        Args:
            gramian: of the rows, (k, k), float64.
            tasks: the number of each row's task, from 0 to K - 1.
        """
        pairs = torch.tensor(tasks)[:, None], torch.tensor(tasks)
        self.rule.register_buffer("_phi_t", self.targets[pairs])
        self.rule._state_key = (len(tasks), gramian.dtype)
        weights: Tensor = self.rule(cast(PSDMatrix, gramian))
        self.targets[pairs] = self.rule.get_buffer("_phi_t")
        self.rule.reset()
        return weights
