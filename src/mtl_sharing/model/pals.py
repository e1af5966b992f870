"""Projected attention layers: small layers of each task's own, beside the layers tasks share.

Stickland and Murray 2019: ``h' = LN(m + FFN(m) + TS(h))`` with ``m`` the layer's attention half.
The task-specific part is ``TS(h) = act(V_D g(V_E h))``, g multi-head attention of width s, or with
``low_rank`` ``TS(h) = V_D act(V_E h)``. V_D starts at 0 (theirs at random), so that a pretrained
encoder starts as itself; so act(0) must be 0 and its slope there not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mtl_sharing.model.encoder.activations import ACTIVATIONS
from mtl_sharing.model.encoder.attention import SequenceLayout, packed_attention
from mtl_sharing.model.encoder.initialization import draw_linear, random_source
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.routing import JoinedRow, Stream
from mtl_sharing.model.specs import PalShape


class TaskPal(nn.Module):
    """One task's projections and attention products for all of its layers."""

    def __init__(self, shape: PalShape, encoder: EncoderShape) -> None:
        super().__init__()
        hidden, size = encoder.hidden, shape.size
        attention = shape.kind == "attention"
        self.encode = nn.ModuleList(nn.Linear(hidden, size) for _ in range(shape.projection_pairs))
        self.decode = nn.ModuleList(nn.Linear(size, hidden) for _ in range(shape.projection_pairs))
        products = len(shape.layers) if attention else 0
        self.qkv = nn.ModuleList(nn.Linear(size, 3 * size) for _ in range(products))
        self.heads, self.attention_dropout = shape.heads, encoder.attention_dropout
        self.activation = ACTIVATIONS[shape.activation]

    def forward(self, number: int, rows: Tensor, layout: SequenceLayout) -> Tensor:
        """TS of the task's ``number``-th layer: rows (N, H) to rows (N, H)."""
        pair = number % len(self.encode)
        inner, decode = self.encode[pair](rows), self.decode[pair]
        if not self.qkv:
            return cast(Tensor, decode(self.activation(inner)))
        dropout = self.attention_dropout if self.training else 0.0
        attended = packed_attention(self.qkv[number](inner), [layout], self.heads, dropout)
        return self.activation(decode(attended))


class Pals(nn.Module):
    """The projected attention layers of all tasks.

    Args:
        shape: of each task's part.
        encoder: shape of the tower that they stand beside.
        tasks: each has a part of its own.
        read: for a task that reads the states of a layer below the last, that layer's number; it
            has no PAL above.
        seed: of the starting weights; None leaves them as torch makes them.
    """

    def __init__(
        self,
        shape: PalShape,
        encoder: EncoderShape,
        tasks: Sequence[str],
        read: Mapping[str, int],
        seed: int | None,
    ) -> None:
        super().__init__()
        self.layers, self.names = shape.layers, tuple(tasks)
        self.tasks = nn.ModuleList(TaskPal(shape.up_to(read.get(t)), encoder) for t in tasks)
        if seed is not None:
            for part in self.tasks:
                _start(cast(TaskPal, part), random_source(seed, "pals"))

    def at(self, depth: int) -> Callable[[JoinedRow], Tensor] | None:
        """What encoder layer ``depth`` adds to the rows that enter it; None adds nothing."""
        if depth not in self.layers:
            return None
        number = self.layers.index(depth)
        return lambda row: self._added(number, row)

    def _added(self, number: int, row: JoinedRow) -> Tensor:
        added = []
        for part in row.parts():
            (stream,) = part.streams
            (task,) = stream.tasks
            added.append(self.tasks[self.names.index(task)](number, part.values, stream.layout))
        return torch.cat(added) if len(added) > 1 else added[0]


def _start(pal: TaskPal, generator: torch.Generator) -> None:
    for module in pal.modules():
        if isinstance(module, nn.Linear):
            draw_linear(module, generator)
    for decode in pal.decode:
        nn.init.zeros_(cast(nn.Linear, decode).weight)


def one_task_each(row: JoinedRow) -> JoinedRow:
    """The row with every text repeated for each task that reads it; as it is where none is."""
    if all(len(stream.tasks) == 1 for stream in row.streams):
        return row
    parts = [(part, task) for part in row.parts() for task in part.streams[0].tasks]
    streams = tuple(
        Stream((task,), part.streams[0].layout, part.streams[0].rows) for part, task in parts
    )
    return JoinedRow(streams, torch.cat([part.values for part, _ in parts]))
