"""Projected attention layers: small layers of each task, beside the encoder layers they share.

Stickland and Murray 2019: ``h' = LN(m + FFN(m) + TS(h))`` with ``m`` the layer's attention half.
The task-specific part is ``TS(h) = act(V_D g(V_E h))``, g multi-head attention of width s, or with
``low_rank`` ``TS(h) = V_D act(V_E h)``. Deviation from the paper: V_D starts at 0, not at random,
so that a pretrained encoder starts unchanged. So act(0) must be 0, and its slope there must not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mtl_sharing.model.encoder.attention import SequenceLayout, packed_attention
from mtl_sharing.model.encoder.initialization import draw_linears, random_source
from mtl_sharing.model.encoder.layers import ACTIVATIONS
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.routing import PackedRows
from mtl_sharing.model.specs import PalShape


class Pals(nn.Module):
    """The projected attention layers of all tasks.

    Args:
        read: the layer that a task's head reads, for tasks that read below the last layer. They
            have no PAL above it.
        seed: seed of the starting weights; None leaves torch's.
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
            for pal in self.tasks:
                # All tasks start from equal weights.
                draw_linears(pal, random_source(seed, "pals"))
                for decode in cast(TaskPal, pal).decode:
                    nn.init.zeros_(cast(nn.Linear, decode).weight)

    def adapter(self, depth: int) -> Callable[[PackedRows], Tensor] | None:
        """Function from the input rows of encoder layer ``depth`` to TS; None without PALs."""
        if depth not in self.layers:
            return None
        number = self.layers.index(depth)
        return lambda rows: self._adapt(number, rows)

    def _adapt(self, number: int, rows: PackedRows) -> Tensor:
        added = []
        for chunk in rows.split():
            (stream,) = chunk.streams
            (task,) = stream.tasks
            added.append(self.tasks[self.names.index(task)](number, chunk.values, stream.layout))
        return torch.cat(added) if len(added) > 1 else added[0]


class TaskPal(nn.Module):
    """One task's projections and attention for all of its layers."""

    def __init__(self, shape: PalShape, encoder: EncoderShape) -> None:
        super().__init__()
        hidden, size = encoder.hidden, shape.size
        pairs = range(shape.projection_pairs)
        self.encode = nn.ModuleList(nn.Linear(hidden, size) for _ in pairs)
        self.decode = nn.ModuleList(nn.Linear(size, hidden) for _ in pairs)
        attending = shape.layers if shape.kind == "attention" else ()
        self.qkv = nn.ModuleList(nn.Linear(size, 3 * size) for _ in attending)
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
