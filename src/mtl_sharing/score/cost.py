"""What a regime costs in weights, computed from the plan and the shapes. No torch.

A test holds these figures against the built model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtl_sharing.model.shape import EncoderShape
from mtl_sharing.plan import SharingPlan

_BYTES = 4  # weights are kept in float32


@dataclass(frozen=True)
class HeadSize:
    """Sizes of one task's head: input width, hidden layers, outputs (0 weights for a cosine)."""

    task: str
    width_in: int
    outputs: int
    cosine: bool = False


@dataclass(frozen=True)
class StageCost:
    """One stage of a regime.

    Attributes:
        stage: name of the stage.
        ownership: the plan's letter with its groups; ``output`` for a task's own output layer.
        owners: groups of tasks, each with a copy.
        parameters: of each copy.
    """

    stage: str
    ownership: str
    owners: tuple[tuple[str, ...], ...]
    trains: bool
    parameters: tuple[int, ...]

    @property
    def total(self) -> int:
        """Parameters of all copies."""
        return sum(self.parameters)

    def of_task(self, task: str) -> int:
        """Parameters that a task's predictions go through here."""
        each = zip(self.owners, self.parameters, strict=True)
        return sum(count for owners, count in each if task in owners)


@dataclass(frozen=True)
class PlanCost:
    """All stages of a regime, and their sums."""

    tasks: tuple[str, ...]
    stages: tuple[StageCost, ...]

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(stage.total for stage in self.stages)

    @property
    def trainable(self) -> int:
        """Parameters that take gradients."""
        return sum(stage.total for stage in self.stages if stage.trains)

    @property
    def shared(self) -> int:
        """Parameters with two owners or more."""
        pairs = [z for s in self.stages for z in zip(s.owners, s.parameters, strict=True)]
        return sum(count for owners, count in pairs if len(owners) > 1)

    @property
    def model_bytes(self) -> int:
        """Bytes of all weights in float32."""
        return self.total * _BYTES

    def serving(self, task: str) -> int:
        """Parameters that serve one task alone."""
        return sum(stage.of_task(task) for stage in self.stages)

    def summary(self) -> dict[str, Any]:
        """The ``params`` node of result.json and plan.json."""
        each = {task: self.serving(task) for task in self.tasks}
        return {
            "total": self.total,
            "trainable": self.trainable,
            "shared": self.shared,
            "single_task_total": max(each.values()),
            "per_task": each,
        }


def plan_cost(
    plan: SharingPlan,
    shape: EncoderShape,
    heads: Sequence[HeadSize],
    head_depth: int,
    head_width: int,
    pooler: bool,
) -> PlanCost:
    """The cost of ``plan`` over towers of ``shape`` with these heads."""
    widths = {head.task: head.width_in for head in heads}
    stages = []
    for stage in plan.stages(head_layers=head_depth, pooler=pooler):
        if stage.name.startswith("head."):
            inputs = widths if stage.name == "head.0" else dict.fromkeys(widths, head_width)
            each = _dense(stage.owners, inputs, head_width)
        else:
            each = tuple(shape.stage_parameters(stage.name) for _ in stage.owners)
        stages.append(StageCost(stage.name, str(stage.ownership), stage.owners, stage.trains, each))
    last = dict.fromkeys(widths, head_width) if head_depth else widths
    owners = tuple((head.task,) for head in heads)
    counts = tuple(0 if h.cosine else (last[h.task] + 1) * h.outputs for h in heads)
    stages.append(StageCost("output", "I", owners, True, counts))
    return PlanCost(plan.tasks, tuple(stages))


def _dense(
    owners: Sequence[Sequence[str]], inputs: Mapping[str, int], width: int
) -> tuple[int, ...]:
    """Parameters of a linear layer to ``width`` for each group, by the group's input width."""
    return tuple((inputs[group[0]] + 1) * width for group in owners)
