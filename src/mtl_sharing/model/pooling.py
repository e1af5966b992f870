"""Pools the states of each sequence's tokens into one vector."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mtl_sharing.model.encoder import attention
from mtl_sharing.model.encoder.attention import SequenceLayout
from mtl_sharing.model.routing import PackedRows, Stream


def first_tokens(rows: Sequence[PackedRows]) -> list[PackedRows]:
    """The state of every sequence's first token: rows (N, H) to rows (B, H)."""
    return [_pool(packed, lambda x, layout: attention.first_tokens(x, [layout])) for packed in rows]


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
    lengths = torch.bincount(layout.sequence_of_token(), minlength=layout.sequences)
    return sums.index_add(0, layout.sequence_of_token(), values) / lengths[:, None]
