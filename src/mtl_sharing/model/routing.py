"""Rows of several tasks: joined for a stage they share, split for one they do not, and pooled."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtl_sharing.model.encoder.attention import SequenceLayout, first_rows
from mtl_sharing.plan.plan import Stage


@dataclass(frozen=True, eq=False)
class Stream:
    """Text that one or more tasks read, with the same states for all of them so far.

    Attributes:
        rows: number of its rows (tokens, or later pooled vectors).
    """

    tasks: tuple[str, ...]
    layout: SequenceLayout
    rows: int


@dataclass(frozen=True, eq=False)
class PackedRows:
    """Streams laid end to end: ``values`` (sum of their rows, width)."""

    streams: tuple[Stream, ...]
    values: Tensor

    @property
    def layouts(self) -> list[SequenceLayout]:
        """The layout of each stream."""
        return [stream.layout for stream in self.streams]

    def split(self) -> list["PackedRows"]:
        """The rows of each stream (views, no copy)."""
        if len(self.streams) == 1:
            return [self]
        values = self.values.split([stream.rows for stream in self.streams])
        return [PackedRows((s,), v) for s, v in zip(self.streams, values, strict=True)]


RunStage = Callable[[nn.Module, PackedRows], PackedRows]
"""Runs a copy of a stage over rows."""


class StageCopies(nn.Module):
    """The copies of one stage, one for each group of tasks that owns one.

    A frozen stage takes no gradient and stays in evaluation mode (no dropout). Tied copies run as
    individual ones do; their penalty is :class:`mtl_sharing.objectives.ties.Tie`.
    """

    def __init__(self, stage: Stage, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.name, self.owners, self.trains = stage.name, stage.owners, stage.trains
        self.tied = stage.ownership.tied
        self.copies = nn.ModuleList(make() for _ in stage.owners)
        self.requires_grad_(stage.trains)

    def train(self, mode: bool = True) -> "StageCopies":
        """Sets the mode as in torch, except that a frozen stage stays in evaluation mode."""
        super().train(mode and self.trains)
        return self

    def copy_of(self, task: str) -> nn.Module:
        """The copy that ``task`` owns, alone or with others."""
        (number,) = [n for n, owners in enumerate(self.owners) if task in owners]
        return self.copies[number]

    def forward(self, rows: Sequence[PackedRows], run: RunStage | None = None) -> list[PackedRows]:
        """Runs each group's copy once, over the joined rows of the group's tasks.

        Args:
            run: None calls the copy with the values and layouts.
        """
        run = _run_stage if run is None else run
        joined = [gather(rows, owners) for owners in self.owners]
        pairs = zip(self.copies, joined, strict=True)
        return [run(copy, group) for copy, group in pairs if group is not None]


def _run_stage(copy: nn.Module, rows: PackedRows) -> PackedRows:
    return PackedRows(rows.streams, copy(rows.values, rows.layouts))


def gather(rows: Sequence[PackedRows], tasks: Sequence[str]) -> PackedRows | None:
    """The streams that ``tasks`` read, joined; None without any."""
    chunks: list[PackedRows] = []
    for packed in rows:
        streams = [_narrowed(stream, tasks) for stream in packed.streams]
        kept = tuple(stream for stream in streams if stream.tasks)
        if len(kept) == len(streams):
            # Most stages follow one with the same owners: their rows pass on without a copy.
            chunks.append(PackedRows(kept, packed.values))
        elif kept:
            pairs = zip(packed.split(), streams, strict=True)
            values = [chunk.values for chunk, stream in pairs if stream.tasks]
            chunks.append(PackedRows(kept, torch.cat(values) if len(values) > 1 else values[0]))
    if len(chunks) < 2:
        return chunks[0] if chunks else None
    streams = [stream for chunk in chunks for stream in chunk.streams]
    return PackedRows(tuple(streams), torch.cat([chunk.values for chunk in chunks]))


def rows_by_task(rows: Sequence[PackedRows], tasks: Iterable[str]) -> dict[str, PackedRows]:
    """The rows of each task that reads any."""
    gathered = {task: gather(rows, (task,)) for task in tasks}
    return {task: own for task, own in gathered.items() if own is not None}


def values_by_task(rows: Sequence[PackedRows], tasks: Iterable[str]) -> dict[str, Tensor]:
    """The values of each task's rows."""
    return {task: own.values for task, own in rows_by_task(rows, tasks).items()}


def select_tasks(rows: Sequence[PackedRows], tasks: Sequence[str]) -> list[PackedRows]:
    """The rows without the streams that none of ``tasks`` reads."""
    kept = [gather([packed], tasks) for packed in rows]
    return [packed for packed in kept if packed is not None]


def repeat_per_task(rows: PackedRows) -> PackedRows:
    """The rows with every stream repeated for each task that reads it."""
    if all(len(stream.tasks) == 1 for stream in rows.streams):
        return rows
    pairs = [(chunk, task) for chunk in rows.split() for task in chunk.streams[0].tasks]
    streams = [Stream((task,), c.streams[0].layout, c.streams[0].rows) for c, task in pairs]
    return PackedRows(tuple(streams), torch.cat([chunk.values for chunk, _ in pairs]))


def _narrowed(stream: Stream, tasks: Sequence[str]) -> Stream:
    """The stream as read by ``tasks`` alone."""
    readers = tuple(task for task in stream.tasks if task in tasks)
    return stream if readers == stream.tasks else Stream(readers, stream.layout, stream.rows)


def first_tokens(rows: Sequence[PackedRows]) -> list[PackedRows]:
    """The state of every sequence's first token: rows (N, H) to rows (B, H)."""
    return [_pool(packed, lambda x, layout: first_rows(x, [layout])) for packed in rows]


def mean_tokens(rows: Sequence[PackedRows]) -> list[PackedRows]:
    """The mean state of every sequence's tokens: rows (N, H) to rows (B, H)."""
    return [_pool(packed, _mean) for packed in rows]


def one_row_per_sequence(streams: Sequence[Stream]) -> tuple[Stream, ...]:
    """The streams of pooled vectors."""
    return tuple(Stream(s.tasks, s.layout, s.layout.sequences) for s in streams)


def _pool(rows: PackedRows, reduce: Callable[[Tensor, SequenceLayout], Tensor]) -> PackedRows:
    values = []
    for chunk in rows.split():
        (stream,) = chunk.streams
        # The last layer may have computed first tokens alone, or a cache holds pooled vectors.
        pooled = stream.rows == stream.layout.sequences
        values.append(chunk.values if pooled else reduce(chunk.values, stream.layout))
    joined = torch.cat(values) if len(values) > 1 else values[0]
    return PackedRows(one_row_per_sequence(rows.streams), joined)


def _mean(values: Tensor, layout: SequenceLayout) -> Tensor:
    sums = values.new_zeros(layout.sequences, values.shape[1])
    # Not bincount, for whose size a GPU's host would wait.
    lengths = layout.starts.diff(append=layout.starts.new_full((1,), layout.tokens))
    sums = sums.index_add(0, layout.sequence_of_token(), values[: layout.tokens])
    return sums / lengths[:, None]
