"""Sharing plans: the owners of every stage of the model."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from mtl_sharing.errors import UserError
from mtl_sharing.plan.ownership import FIELD, Groups, Ownership, Reader, checked_tasks, head_rule


@dataclass(frozen=True)
class Stage:
    """One depth position of the model, and the owners of its weights.

    Args:
        name: ``embeddings``, ``layer.0`` and so on, ``pooler``, ``head.0`` and so on.
        owners: groups of tasks, each with its own copy of the weights.
    """

    name: str
    ownership: Ownership
    owners: Groups

    @property
    def trains(self) -> bool:
        """Whether the weights are updated."""
        return self.ownership.trains


@dataclass(frozen=True)
class SharingPlan:
    """Ownership of every stage of the model, in canonical form: equal plans share alike.

    Args:
        tasks: the task names, in the order that all partitions follow.
        layers: ownership of each encoder layer, at least one.
        head: ownership of each hidden head layer; empty means any number of individual layers.

    Raises:
        UserError: bad task names, no layers, or groups of unknown or repeated tasks.
    """

    tasks: tuple[str, ...]
    embeddings: Ownership
    layers: tuple[Ownership, ...]
    pooler: Ownership
    head: tuple[Ownership, ...] = ()

    def __post_init__(self) -> None:
        tasks = checked_tasks(self.tasks)
        if not self.layers:
            raise UserError(FIELD, "0 encoder layers", "at least one encoder layer")
        head = tuple(own.canonical(tasks) for own in self.head)
        canonical = {
            "tasks": tasks,
            "embeddings": self.embeddings.canonical(tasks),
            "layers": tuple(own.canonical(tasks) for own in self.layers),
            "pooler": self.pooler.canonical(tasks),
            "head": () if all(own.letter == "I" for own in head) else head,
        }
        for field, value in canonical.items():
            object.__setattr__(self, field, value)

    @classmethod
    def parse(
        cls, text: str, tasks: Iterable[str], layers: int | None = None,
        head_layers: int | None = None, where: str = FIELD,
    ) -> "SharingPlan":  # fmt: skip
        """Parses a plan from its notation.

        Args:
            layers: the number of encoder layers that the depths must add up to, if known.
            head_layers: the number of hidden head layers that a head stack must have, if known.
            where: the config field named in errors.

        Raises:
            UserError: the text or the task names break a rule of the notation.
        """
        # str: a YAML value like ``12`` arrives as a number, and fails like any other bad text.
        reader = Reader(str(text), checked_tasks(tasks), where)
        first, blocks, last, stack = reader.parts()
        runs = [reader.block(part) for part in blocks]
        reader.check_depth(sum(depth for _, depth in runs), layers)
        encoder = tuple(own for own, depth in runs for _ in range(depth))
        embeddings = encoder[0] if first is None else reader.own(first, first[1:])
        pooler = encoder[-1] if last is None else reader.own(last, last[1:])
        head = tuple(reader.own(part, part) for part in stack)
        reader.check_head(len(head), head_layers)
        return cls(reader.tasks, embeddings, encoder, pooler, head)

    @property
    def depth(self) -> int:
        """Number of encoder layers."""
        return len(self.layers)

    def stages(
        self, head_layers: int = 0, pooler: bool = True, read: Mapping[str, int] | None = None
    ) -> tuple[Stage, ...]:
        """Every stage from the embeddings up.

        Args:
            head_layers: number of hidden head layers of the model.
            pooler: whether the model has a pooler.
            read: number of the layer whose states a task's head reads, for heads that do not read
                the last. Copies that no task needs are left out.

        Raises:
            UserError: the plan has a head stack of another length.
        """
        if self.head and len(self.head) != head_layers:
            found = f'"{self}" ({len(self.head)} head layers)'
            raise UserError(FIELD, found, head_rule(head_layers))
        names = ["embeddings", *(f"layer.{i}" for i in range(self.depth))]
        names += ["pooler"] * pooler + [f"head.{i}" for i in range(head_layers)]
        return tuple(self._stage(name, read or {}) for name in names)

    def _stage(self, name: str, read: Mapping[str, int]) -> Stage:
        kind, _, number = name.partition(".")
        needs = {"layer": int(number or 0), "pooler": self.depth}.get(kind, 0)
        users = {task for task in self.tasks if read.get(task, self.depth) >= needs}
        groups = (group for group in self.owners(name) if users.intersection(group))
        return Stage(name, self._own(name), tuple(groups))

    def owners(self, stage_name: str) -> Groups:
        """The groups of tasks that own one copy each of the named stage.

        Raises:
            UserError: the plan has no such stage.
        """
        return self._own(stage_name).owners(self.tasks)

    def _own(self, name: str) -> Ownership:
        if name in ("embeddings", "pooler"):
            return self.embeddings if name == "embeddings" else self.pooler
        match = re.fullmatch(r"(layer|head)\.(0|[1-9][0-9]{0,3})", name)
        if match and match[1] == "head" and not self.head:
            return Ownership("I")
        owns = self.head if match and match[1] == "head" else self.layers
        if not match or int(match[2]) >= len(owns):
            last = f" to head.{len(self.head) - 1}" if self.head else ", head.1, ..."
            allowed = f"embeddings, layer.0 to layer.{self.depth - 1}, pooler, head.0{last}"
            raise UserError("stage", f'"{name}"', allowed)
        return owns[int(match[2])]

    def __str__(self) -> str:
        parts = [] if self.embeddings == self.layers[0] else [f"E{self.embeddings}"]
        parts += [own.text(len(list(run))) for own, run in groupby(self.layers)]
        parts += [] if self.pooler == self.layers[-1] else [f"P{self.pooler}"]
        return "-".join(parts) + "/" * bool(self.head) + "-".join(map(str, self.head))
