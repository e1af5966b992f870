"""Parameters of a regime, computed from its architecture alone. No torch.

A test compares these counts with the built model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.plan.ownership import Groups
from mtl_sharing.plan.plan import Stage

_BYTES = 4  # weights are kept in float32


@dataclass(frozen=True)
class StageCost:
    """The parameters of one stage of a regime.

    Attributes:
        ownership: the plan's letter with its groups; I for parts that each task has alone.
        readers: for each copy, the tasks whose predictions use it. Lanes add readers of another
            task's head; a head that reads a lower layer is no reader of the layers above.
    """

    stage: str
    ownership: str
    owners: Groups
    readers: Groups
    trains: bool
    parameters: tuple[int, ...]

    @property
    def total(self) -> int:
        """Parameters of all copies."""
        return sum(self.parameters)

    @property
    def bytes(self) -> int:
        """Bytes of all copies in float32."""
        return self.total * _BYTES


@dataclass(frozen=True)
class PlanCost:
    """The parameters of all stages of a regime, and their sums."""

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
        """Parameters of copies with at least two owners."""
        copies = [c for s in self.stages for c in zip(s.owners, s.parameters, strict=True)]
        return sum(count for owners, count in copies if len(owners) > 1)

    @property
    def model_bytes(self) -> int:
        """Bytes of all weights in float32."""
        return self.total * _BYTES

    def serving(self, task: str) -> int:
        """Parameters of a model for this task alone."""
        copies = [c for s in self.stages for c in zip(s.readers, s.parameters, strict=True)]
        return sum(count for readers, count in copies if task in readers)

    def summary(self) -> dict[str, Any]:
        """The ``params`` node of result.json and plan.json."""
        per_task = {task: self.serving(task) for task in self.tasks}
        return {
            "total": self.total,
            "trainable": self.trainable,
            "shared": self.shared,
            "single_task_total": max(per_task.values()),
            "per_task": per_task,
        }


def plan_cost(architecture: Architecture) -> PlanCost:
    """Counts the parameters of a network."""
    return PlanCost(architecture.plan.tasks, tuple(_stages(architecture)))


def _stages(a: Architecture) -> Iterator[StageCost]:
    """Every stage from the embeddings up, and the parts that are not in the plan."""
    yield from _encoder(a)
    yield from _parts(a)
    for stage in a.stages():
        if stage.name.startswith("head."):
            first = stage.name == "head.0"
            widths = [a.head_input(group[0]) if first else a.head.width for group in stage.owners]
            counts = tuple((width + 1) * a.head.width for width in widths)
            yield _planned(stage, counts, [_readers(a, group) for group in stage.owners])
    yield _of_each_task(a, "output", [_output(a, task) for task in a.plan.tasks])


def _encoder(a: Architecture) -> Iterator[StageCost]:
    for stage in a.stages():
        if not stage.name.startswith("head."):
            count = a.encoder.stage_parameters(stage.name)
            readers = [a.reaching(stage.name, group) for group in stage.owners]
            yield _planned(stage, tuple(count for _ in stage.owners), readers)


def _parts(a: Architecture) -> Iterator[StageCost]:
    hidden, tasks = a.encoder.hidden, a.plan.tasks
    if a.pals is not None:
        own = [a.pals.up_to(a.read.get(task)) for task in tasks]
        counts = tuple(pals.weights(hidden) + pals.biases(hidden) for pals in own)
        alone = tuple((task,) for task in tasks)
        yield StageCost("pals", "I", alone, alone, True, counts)
    if a.lanes is not None:
        norm = a.lane_norm()
        yield _planned(norm, tuple(2 * hidden for _ in norm.owners), norm.owners)
        if a.lanes.fusion == "attention":
            yield _of_each_task(a, "lanes.fusion", [_attention_fusion(a, task) for task in tasks])


def _planned(stage: Stage, counts: tuple[int, ...], readers: Sequence[Sequence[str]]) -> StageCost:
    groups = tuple(tuple(group) for group in readers)
    ownership = str(stage.ownership)
    return StageCost(stage.name, ownership, stage.owners, groups, stage.trains, counts)


def _of_each_task(a: Architecture, name: str, counts: Sequence[int]) -> StageCost:
    """A part that each task's head has, and that downstream heads may run as well."""
    owners = tuple((task,) for task in a.plan.tasks)
    readers = tuple(a.readers(task) for task in a.plan.tasks)
    return StageCost(name, "I", owners, readers, True, tuple(counts))


def _readers(a: Architecture, owners: Sequence[str]) -> list[str]:
    readers = {reader for task in owners for reader in a.readers(task)}
    return [task for task in a.plan.tasks if task in readers]


def _output(a: Architecture, task: str) -> int:
    head = a.head_of(task)
    return 0 if head.cosine else (a.output_input(task) + 1) * head.outputs


def _attention_fusion(a: Architecture, task: str) -> int:
    """A value layer for each upstream head; with two or more also a query and their key layers."""
    lanes, own, inner = a.lane_widths(task), a.head_input(task), a.encoder.hidden
    values = sum((lane + 1) * own for lane in lanes)
    if len(lanes) < 2:
        return values
    return values + (own + 1) * inner + sum((lane + 1) * inner for lane in lanes)
