"""Weights of the tasks' losses."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mtl_sharing.errors import UserError, check_above, check_known, check_range, one_of
from mtl_sharing.objectives.settings import LossConfig
from mtl_sharing.utils.hashing import random_seed

WEIGHTINGS = ("fixed", "uncertainty", "dwa", "random")


def make_weighting(
    config: LossConfig, tasks: Sequence[str], squared: Collection[str], seed: int
) -> "Weighting":
    """The weighting of a checked config.

    Args:
        tasks: those that train together; the weights of others have no say.
        squared: the tasks whose loss is a squared error.
    """
    if config.weighting == "uncertainty":
        return Uncertainty(tasks, squared)
    if config.weighting == "dwa":
        return DynamicAverage(tasks, config.temperature)
    if config.weighting == "random":
        return Random(tasks, seed)
    return Fixed(config.weights) if config.weights else Weighting()


def check_weighting(config: LossConfig, tasks: Sequence[str]) -> None:
    """Raises UserError for an unknown weighting, or weights that do not match the tasks."""
    check_known("loss.weighting", config.weighting, WEIGHTINGS)
    check_above("loss.temperature", config.temperature, 0)
    check_range("loss.lr", config.lr, 0)
    if not config.weights:
        return
    if config.weighting != "fixed":
        raise UserError("loss.weights", dict(config.weights), "none, or loss.weighting=fixed")
    for name, weight in config.weights.items():
        check_known("loss.weights", name, tasks)
        check_range(f"loss.weights.{name}", weight, 0)
    if len(config.weights) < len(tasks):
        raise UserError("loss.weights", one_of(config.weights), f"all of {one_of(tasks)}, or none")
    if not any(config.weights.values()):
        raise UserError("loss.weights", "0 for every task", "a weight above 0 for one at least")


class Weighting(nn.Module):
    """Equal weights: the mean of the losses of the tasks of a step that train together.

    State that a weighting learns or keeps is in its state dict, so that a run can resume.
    """

    def has_weight(self, task: str) -> bool:
        """Whether the task has a weight above 0; samplers never draw one without."""
        return True

    def term(self, task: str, loss: Tensor, among: int, draw: int) -> Tensor:
        """The task's summand of the total loss of a draw.

        Args:
            loss: mean over the task's examples, a scalar.
            among: number of these tasks in this draw.
            draw: its number, from 0.
        """
        return loss / among

    def start_epoch(self, epoch: int) -> None:
        """Sets the epoch, from 0, of the next draw."""

    def observe(self, losses: Mapping[str, float], sizes: Mapping[str, int]) -> None:
        """Records a draw's mean losses over batches of these sizes."""


class Fixed(Weighting):
    """The weighted sum of the losses of a step (mops report: unified loss)."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.weights = dict(weights)

    def has_weight(self, task: str) -> bool:
        """Whether the weight is above 0."""
        return self.weights[task] > 0

    def term(self, task: str, loss: Tensor, among: int, draw: int) -> Tensor:
        """``w L``, with any number of tasks."""
        return loss * self.weights[task]


class Uncertainty(Weighting):
    """Weights learnt as the tasks' noise (Kendall, Gal and Cipolla 2018).

    With ``s = log sigma^2``, 0 at the start, a task's term is ``L exp(-s) + s / 2``, and
    ``L exp(-s) / 2 + s / 2`` for squared errors (their equations 7 and 10).
    """

    def __init__(self, tasks: Sequence[str], squared: Collection[str]) -> None:
        super().__init__()
        self.log_variance = nn.ParameterDict({task: torch.zeros(()) for task in tasks})
        self.scale = {task: 0.5 if task in squared else 1.0 for task in tasks}

    def term(self, task: str, loss: Tensor, among: int, draw: int) -> Tensor:
        """``L exp(-s) + s / 2``, with any number of tasks."""
        s = self.log_variance[task]
        return self.scale[task] * torch.exp(-s) * loss + s / 2


class DynamicAverage(Weighting):
    """Larger weights for tasks whose loss decreases slowly (Liu, Johns and Davison 2019).

    ``w_k ~ exp(r_k / T)`` with ``r_k`` the mean loss of the last epoch over that of the one
    before. The weights are equal in the first two epochs.
    """

    def __init__(self, tasks: Sequence[str], temperature: float) -> None:
        super().__init__()
        self.tasks, self.temperature = tuple(tasks), temperature
        # Sums and counts of this epoch, and the means of the two before it.
        self.epoch = 0
        self.sums = dict.fromkeys(tasks, (0.0, 0))
        self.means: list[dict[str, float]] = []

    def weights(self) -> dict[str, float]:
        """Each task's weight; they add up to 1."""
        ratios = np.ones(len(self.tasks))
        if len(self.means) == 2:
            before, last = self.means
            for number, task in enumerate(self.tasks):
                if task in last and before.get(task, 0) > 0:
                    ratios[number] = last[task] / before[task]
        return dict(zip(self.tasks, _softmax(ratios / self.temperature), strict=True))

    def term(self, task: str, loss: Tensor, among: int, draw: int) -> Tensor:
        """``K w L`` over the number of tasks in the draw."""
        return loss * self.weights()[task] * len(self.tasks) / among

    def start_epoch(self, epoch: int) -> None:
        """At a new epoch, stores the means of the last one."""
        if epoch != self.epoch:
            means = {task: total / count for task, (total, count) in self.sums.items() if count}
            self.means = [*self.means, means][-2:]
            self.epoch, self.sums = epoch, dict.fromkeys(self.tasks, (0.0, 0))

    def observe(self, losses: Mapping[str, float], sizes: Mapping[str, int]) -> None:
        """Adds a draw's losses to the sums of the epoch, each example's once."""
        for task, loss in losses.items():
            total, count = self.sums[task]
            self.sums[task] = (total + loss * sizes[task], count + sizes[task])

    def get_extra_state(self) -> Any:
        """Epoch, sums and means, for the state dict."""
        return {"epoch": self.epoch, "sums": dict(self.sums), "means": list(self.means)}

    def set_extra_state(self, state: Any) -> None:
        """Restores the state of :meth:`get_extra_state`."""
        self.epoch, self.sums = state["epoch"], dict(state["sums"])
        self.means = list(state["means"])


class Random(Weighting):
    """New weights in every draw: the softmax of normal numbers (Lin et al. 2022)."""

    def __init__(self, tasks: Sequence[str], seed: int) -> None:
        super().__init__()
        self.tasks, self.seed = tuple(tasks), seed

    def weights(self, draw: int) -> dict[str, float]:
        """Each task's weight in a draw; they add up to 1."""
        seed = random_seed(self.seed, draw, ("weights", *self.tasks))
        numbers = np.random.default_rng(seed).standard_normal(len(self.tasks))
        return dict(zip(self.tasks, _softmax(numbers), strict=True))

    def term(self, task: str, loss: Tensor, among: int, draw: int) -> Tensor:
        """``K w L`` over the number of tasks in the draw."""
        return loss * self.weights(draw)[task] * len(self.tasks) / among


def _softmax(numbers: np.ndarray) -> list[float]:
    powers = np.exp(numbers - numbers.max())
    weights: list[float] = (powers / powers.sum()).tolist()
    return weights
