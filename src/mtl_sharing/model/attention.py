"""Self-attention over packed rows: products stay inside each sequence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SequenceLayout:
    """Where the tokens of some packed sequences lie in a padded grid of sequence by position.

    Attributes:
        sequences: B.
        longest: tokens of the longest sequence, the grid's width.
        tokens: N, real tokens.
        index: cell of each token in the flattened grid, shape (N,); None when every sequence
            has the same length, so that the packed row is the grid.
        mask: added to attention scores, 0 at tokens and -inf at padding, shape (B, 1, 1, longest);
            None together with ``index``.
        starts: row of each sequence's first token, shape (B,).
    """

    sequences: int
    longest: int
    tokens: int
    index: Tensor | None
    mask: Tensor | None
    starts: Tensor

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> "SequenceLayout":
        """The layout of sequences with these lengths."""
        sizes = torch.tensor(lengths)
        longest, ends = max(lengths), sizes.cumsum(0)
        starts = (ends - sizes).to(device)
        tokens = int(ends[-1])
        if tokens == longest * len(lengths):
            return cls(len(lengths), longest, tokens, None, None, starts)
        real = torch.arange(longest) < sizes[:, None]
        mask = torch.zeros(real.shape).masked_fill_(~real, float("-inf"))[:, None, None, :]
        index = real.flatten().nonzero().squeeze(1)
        shape = (len(lengths), longest, tokens)
        return cls(*shape, index.to(device), mask.to(device), starts)

    def sequence_of_token(self) -> Tensor:
        """Number of the sequence that each token belongs to, shape (N,)."""
        numbers = torch.arange(self.sequences, device=self.starts.device)
        grid = numbers.repeat_interleave(self.longest)
        return grid if self.index is None else grid[self.index]

    def positions(self) -> Tensor:
        """Position of each token in its own sequence, shape (N,)."""
        grid = torch.arange(self.longest, device=self.starts.device).repeat(self.sequences)
        return grid if self.index is None else grid[self.index]


# Indexing both ways would make autograd add into zeros row by row. No cell is used twice here,
# so a plain copy is exact, and faster.
class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, cells: int) -> Tensor:
        ctx.save_for_backward(index)
        return rows.new_zeros(cells, rows.shape[1]).index_copy_(0, index, rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return grads[0].index_select(0, index), None, None


class _Unpad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cells: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.cells = cells.shape[0]
        return cells.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        grad = grads[0]
        return grad.new_zeros(ctx.cells, grad.shape[1]).index_copy_(0, index, grad), None


def packed_attention(
    qkv: Tensor, layouts: Sequence[SequenceLayout], heads: int, dropout: float
) -> Tensor:
    """Multi-head attention of each sequence over itself.

    Args:
        qkv: queries, keys and values side by side, shape (N, 3 H).
        layouts: one for each run of sequences, in the order of the rows; each run is padded for
            itself, so that long texts of one task cost the others nothing.
        heads: number of heads, a divisor of H.
        dropout: rate at which attention weights are dropped; 0 outside training.

    Returns:
        The attended values, shape (N, H).
    """
    runs = qkv.split([layout.tokens for layout in layouts]) if len(layouts) > 1 else [qkv]
    attended = [_attend(*pair, heads, dropout) for pair in zip(runs, layouts, strict=True)]
    return torch.cat(attended) if len(attended) > 1 else attended[0]


def _attend(rows: Tensor, layout: SequenceLayout, heads: int, dropout: float) -> Tensor:
    cells = layout.sequences * layout.longest
    grid = rows if layout.index is None else _Pad.apply(rows, layout.index, cells)
    split = grid.view(layout.sequences, layout.longest, 3, heads, -1).permute(2, 0, 3, 1, 4)
    attended = _products(split[0], split[1], split[2], layout.mask, dropout)
    flat = attended.transpose(1, 2).reshape(cells, rows.shape[1] // 3)
    return flat if layout.index is None else _Unpad.apply(flat, layout.index)


def _products(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float
) -> Tensor:
    """``softmax(q k' / sqrt(d) + mask) v`` for shape (B, heads, longest, d)."""
    if query.is_cuda:
        mask = None if mask is None else mask.to(query.dtype)
        return F.scaled_dot_product_attention(query, key, value, mask, dropout)
    # On a CPU plain products beat the fused kernel, whose backward with a mask is slow.
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
    return F.dropout(weights, dropout, training=dropout > 0).to(value.dtype) @ value
