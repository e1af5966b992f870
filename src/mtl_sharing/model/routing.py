"""How rows of several tasks are joined for a stage they share and parted for one they do not."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtl_sharing.model.encoder.attention import SequenceLayout
from mtl_sharing.plan import Stage


@dataclass(frozen=True, eq=False)
class Stream:
    """Text that one or more tasks read, and so far with the same result.

    Attributes:
        tasks: the tasks that read it.
        layout: where its sequences lie.
        rows: how many rows it takes in a joined row (tokens, or later pooled vectors).
    """

    tasks: tuple[str, ...]
    layout: SequenceLayout
    rows: int


@dataclass(frozen=True, eq=False)
class JoinedRow:
    """Streams laid end to end: ``values`` (sum of their rows, width)."""

    streams: tuple[Stream, ...]
    values: Tensor

    @property
    def layouts(self) -> list[SequenceLayout]:
        """Of each stream."""
        return [stream.layout for stream in self.streams]

    def parts(self) -> list["JoinedRow"]:
        """Each stream as a row of its own (views, no copy)."""
        if len(self.streams) == 1:
            return [self]
        values = self.values.split([stream.rows for stream in self.streams])
        return [JoinedRow((s,), v) for s, v in zip(self.streams, values, strict=True)]


# Takes a copy of a stage over a joined row.
Run = Callable[[nn.Module, JoinedRow], JoinedRow]


class StageCopies(nn.Module):
    """The copies of one stage, one for each group of tasks that owns one.

    A frozen stage takes no gradient and stays in evaluation mode (no dropout) for good. The copies
    of a tied stage run as individual ones do; the penalty is an objective of its own.
    """

    def __init__(self, stage: Stage, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.name, self.owners, self.trains = stage.name, stage.owners, stage.trains
        self.tied = stage.ownership.tied
        self.copies = nn.ModuleList(make() for _ in stage.owners)
        self.requires_grad_(stage.trains)

    def train(self, mode: bool = True) -> "StageCopies":
        """As in torch, except that a frozen stage never leaves evaluation mode."""
        super().train(mode and self.trains)
        return self

    def forward(self, rows: Sequence[JoinedRow], run: Run | None = None) -> list[JoinedRow]:
        """Each group's rows, joined, through that group's copy.

        Args:
            run: how a copy takes a joined row; None hands it the row's values and layouts.
        """
        run = _whole if run is None else run
        joined = [gather(rows, owners) for owners in self.owners]
        pairs = zip(self.copies, joined, strict=True)
        return [run(copy, row) for copy, row in pairs if row is not None]


def _whole(copy: nn.Module, row: JoinedRow) -> JoinedRow:
    return JoinedRow(row.streams, copy(row.values, row.layouts))


def gather(rows: Sequence[JoinedRow], owners: Sequence[str]) -> JoinedRow | None:
    """What ``owners`` read, as one row; None if they read nothing.

    A row that they alone read is handed on as it is, without a copy.
    """
    parts: list[JoinedRow] = []
    for row in rows:
        mine = [_only(stream, owners) for stream in row.streams]
        kept = tuple(stream for stream in mine if stream.tasks)
        if len(kept) == len(mine):
            parts.append(JoinedRow(kept, row.values))
        elif kept:
            picked = [p.values for p, stream in zip(row.parts(), mine, strict=True) if stream.tasks]
            parts.append(JoinedRow(kept, torch.cat(picked) if len(picked) > 1 else picked[0]))
    if len(parts) < 2:
        return parts[0] if parts else None
    streams = tuple(stream for part in parts for stream in part.streams)
    return JoinedRow(streams, torch.cat([part.values for part in parts]))


def row_of_each(rows: Sequence[JoinedRow], tasks: Iterable[str]) -> dict[str, JoinedRow]:
    """Each task's own row, out of rows that may be joined or read by several tasks."""
    found = {task: gather(rows, (task,)) for task in tasks}
    return {task: row for task, row in found.items() if row is not None}


def of_tasks(rows: Sequence[JoinedRow], tasks: Sequence[str]) -> list[JoinedRow]:
    """The rows as far as ``tasks`` read them; what they alone read is handed on as it is."""
    kept = [gather([row], tasks) for row in rows]
    return [row for row in kept if row is not None]


def _only(stream: Stream, owners: Sequence[str]) -> Stream:
    """The stream as seen by ``owners`` alone."""
    tasks = tuple(task for task in stream.tasks if task in owners)
    return stream if tasks == stream.tasks else Stream(tasks, stream.layout, stream.rows)
