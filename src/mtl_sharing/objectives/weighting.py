"""How the tasks' losses become one scalar."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mtl_sharing.errors import UserError, did_you_mean, one_of
from mtl_sharing.objectives.settings import LossConfig


@dataclass(frozen=True)
class FixedWeighting:
    """The weighted sum of the losses of one step (mops report: unified loss)."""

    weights: Mapping[str, float]

    def counts(self, task: str) -> bool:
        """Whether the task has any weight; without it is left out of training."""
        return self.weights.get(task, 1.0) > 0

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """One scalar out of a scalar for each task."""
        equal = 1 / len(losses)
        terms = [loss * self.weights.get(task, equal) for task, loss in losses.items()]
        return torch.stack(terms).sum()


def make_weighting(config: LossConfig, tasks: tuple[str, ...]) -> FixedWeighting:
    """The weighting that the config asks for.

    Raises:
        UserError: a weight for an unknown task, a missing one, or a negative one.
    """
    for name, weight in config.weights.items():
        if name not in tasks:
            found = name + did_you_mean(name, tasks)
            raise UserError("loss.weights", found, f"tasks of the suite: {one_of(tasks)}")
        if not 0 <= weight < float("inf"):
            raise UserError(f"loss.weights.{name}", weight, "0 or more")
    if config.weights and len(config.weights) < len(tasks):
        raise UserError("loss.weights", one_of(config.weights), f"all of {one_of(tasks)}, or none")
    if config.weights and not any(config.weights.values()):
        raise UserError("loss.weights", "0 for every task", "a weight above 0 for one at least")
    return FixedWeighting(dict(config.weights))
