"""A component of a network: tasks that share trained weights, and how these are updated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mtl_sharing.errors import check_finite
from mtl_sharing.objectives.aggregation import GradientAggregator
from mtl_sharing.objectives.ties import Tie
from mtl_sharing.objectives.weighting import Weighting
from mtl_sharing.training.optimizer import clip_gradients


@dataclass
class Component:
    """Tasks that train together, apart from the tasks of other components.

    Attributes:
        optimizer: of the component's weights.
        weighting: of its tasks' losses.
        clip: largest norm of the gradient of all its weights, or None.
        tie: penalty over tied stages, added to the loss of every update.
        surgery: merges the tasks' gradients on shared weights; None sums them.
    """

    tasks: tuple[str, ...]
    optimizer: torch.optim.Optimizer
    weighting: Weighting
    clip: float | None = None
    tie: Tie | None = None
    surgery: GradientAggregator | None = None

    @property
    def dense(self) -> list[Tensor]:
        """Weights whose gradients reach every row of a table, or are kept between passes."""
        # A tie's gradient reaches every row. An aggregator takes each task's gradient away, so that
        # the next task's must not be added to the same buffer.
        groups: list[Sequence[Tensor]] = [] if self.tie is None else list(self.tie.copies)
        groups += [] if self.surgery is None else list(self.surgery.shared.values())
        return [weight for group in groups for weight in group]

    def apply(self, where: str) -> tuple[float | None, dict[str, float]]:
        """Updates the weights by their gradients; returns the tie's penalty and the cosines.

        Raises UserError for a penalty that is not finite; ``where`` names the step.
        """
        cosines = {} if self.surgery is None else self.surgery.aggregate()
        penalty = None if self.tie is None else self.tie.add_gradient()
        if penalty is not None:
            check_finite("the tie's penalty", penalty, where)
        if self.clip is not None:
            clip_gradients(self.optimizer, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return penalty, cosines

    def state(self) -> dict[str, Any]:
        """The state that its next update depends on, apart from the weights."""
        return {
            "tasks": list(self.tasks),
            "optimizer": self.optimizer.state_dict(),
            "weighting": self.weighting.state_dict(),
            "surgery": {} if self.surgery is None else self.surgery.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores a :meth:`state`; raises RuntimeError or ValueError for another component's."""
        if state["tasks"] != list(self.tasks):
            raise ValueError(f"tasks {state['tasks']} where {list(self.tasks)} train together")
        self.optimizer.load_state_dict(state["optimizer"])
        self.weighting.load_state_dict(state["weighting"])
        if self.surgery is not None:
            self.surgery.load_state_dict(state["surgery"])
