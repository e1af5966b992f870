"""Self-attention over packed rows, within each sequence."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl_sharing.model.encoder.dropout import dropout as drop

# float32 numbers in a vector register of 512 bits.
_REGISTER = 16
# On a CPU the products of grids up to this width are too small to gain from bf16. Those of wider
# grids do, and come in few widths then.
_SHORT, _WIDTHS = 64, 16


@dataclass(frozen=True, eq=False)
class SequenceLayout:
    """Cells of packed sequences in a padded grid of sequence by position.

    Attributes:
        sequences: B.
        longest: the grid's width, that of the longest sequence at least.
        tokens: N, real tokens.
        rows: R, the tokens and the filling after them.
        index: cell of each token in the flattened grid, shape (N,). None when all sequences have
            the same length and no filling follows, because the packed row then is the grid.
        mask: added to attention scores, 0 at tokens and -inf at padding, shape (B, 1, 1, longest).
            None together with ``index``.
        starts: row of each sequence's first token, shape (B,).
    """

    sequences: int
    longest: int
    tokens: int
    rows: int
    index: Tensor | None
    mask: Tensor | None
    starts: Tensor

    @classmethod
    def of(
        cls,
        lengths: Sequence[int],
        device: torch.device,
        rows: int | None = None,
        steady: bool = False,
    ) -> "SequenceLayout":
        """The layout of sequences with these lengths.

        Args:
            rows: None for those of the tokens, without filling.
            steady: whether widths above 64 are rounded up to a multiple of 16.
        """
        sizes = torch.tensor(lengths)
        longest, ends = grid_width(max(lengths), steady), sizes.cumsum(0)
        starts = (ends - sizes).to(device)
        tokens = int(ends[-1])
        rows = tokens if rows is None else rows
        if tokens == longest * len(lengths) == rows:
            return cls(len(lengths), longest, tokens, rows, None, None, starts)
        real = torch.arange(longest) < sizes[:, None]
        mask = torch.zeros(real.shape).masked_fill_(~real, float("-inf"))[:, None, None, :]
        index = real.flatten().nonzero().squeeze(1)
        shape = (len(lengths), longest, tokens, rows)
        return cls(*shape, index.to(device), mask.to(device), starts)

    def sequence_of_token(self) -> Tensor:
        """Number of the sequence that each token belongs to, shape (N,)."""
        numbers = torch.arange(self.sequences, device=self.starts.device)
        return self._real(numbers.repeat_interleave(self.longest))

    def positions(self) -> Tensor:
        """Position of each token in its own sequence, 0 for filling, shape (R,)."""
        numbers = torch.arange(self.longest, device=self.starts.device)
        positions = self._real(numbers.repeat(self.sequences))
        return F.pad(positions, (0, self.rows - self.tokens))

    def _real(self, cells: Tensor) -> Tensor:
        return cells if self.index is None else cells[self.index]


def is_short(width: int) -> bool:
    """Whether attention over a grid of this width is fp32 on a CPU."""
    return width <= _SHORT


def grid_width(longest: int, steady: bool) -> int:
    """The width of the grid of sequences of up to ``longest`` tokens."""
    return -(-longest // _WIDTHS) * _WIDTHS if steady and longest > _SHORT else longest


# Autograd's backward pass of plain indexing adds row by row into zeros. No cell is used twice
# here, so a copy is exact, and faster.
class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, cells: int) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = len(rows)
        return _spread(rows, index, cells)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return _collect(grads[0], index, ctx.rows), None, None


class _Unpad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cells: Tensor, index: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(index)
        ctx.cells = len(cells)
        return _collect(cells, index, rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return _spread(grads[0], index, ctx.cells), None, None


def _spread(rows: Tensor, index: Tensor, cells: int) -> Tensor:
    """Cells (cells, W): zeros but for the first rows, each in its place of ``index``."""
    return rows.new_zeros(cells, rows.shape[1]).index_copy_(0, index, rows[: len(index)])


def _collect(cells: Tensor, index: Tensor, rows: int) -> Tensor:
    """Rows (rows, W): the cells in the order of ``index``, then zeros."""
    if rows == len(index):
        return cells.index_select(0, index)
    collected = cells.new_empty(rows, cells.shape[1])
    torch.index_select(cells, 0, index, out=collected[: len(index)])
    collected[len(index) :] = 0
    return collected


def packed_attention(
    qkv: Tensor, layouts: Sequence[SequenceLayout], heads: int, dropout: float
) -> Tensor:
    """Multi-head attention of each sequence over itself (Vaswani et al. 2017).

    Args:
        qkv: queries, keys and values side by side, shape (N, 3 H).
        layouts: one for each chunk of sequences, in the order of the rows.
        heads: number of heads, a divisor of H.
        dropout: rate at which attention weights are dropped; 0 outside training.

    Returns:
        The attended values, shape (N, H).
    """
    if supports_flash(qkv, qkv.shape[1] // (3 * heads)):
        query, key, value = qkv.view(len(qkv), 3, heads, -1).unbind(1)
        ends, longest = _ends(layouts), max(layout.longest for layout in layouts)
        return flash_attention(query, key, value, (ends, ends), (longest, longest), dropout)
    # Each chunk has padding of its own, so that one task's long texts cost the others nothing.
    chunks = qkv.split([layout.rows for layout in layouts]) if len(layouts) > 1 else [qkv]
    attended = []
    for chunk, layout in zip(chunks, layouts, strict=True):
        query, key, value = _grid(chunk, layout, 3, heads)
        cells = _attend(query, key, value, layout.mask, dropout)
        flat = cells.transpose(1, 2).reshape(-1, qkv.shape[1] // 3)
        index, rows = layout.index, layout.rows
        attended.append(flat if index is None else _Unpad.apply(flat, index, rows))
    return torch.cat(attended) if len(attended) > 1 else attended[0]


def first_token_attention(
    query: Tensor, key_value: Tensor, layouts: Sequence[SequenceLayout], heads: int, dropout: float
) -> Tensor:
    """The result of :func:`packed_attention` for each sequence's first token alone.

    Args:
        query: queries of first tokens, shape (B, H).
        key_value: keys and values of all tokens side by side, shape (N, 2 H).

    Returns:
        The attended values, shape (B, H).
    """
    if supports_flash(query, query.shape[1] // heads):
        key, value = key_value.view(len(key_value), 2, heads, -1).unbind(1)
        ends, longest = _ends(layouts), max(layout.longest for layout in layouts)
        ones = torch.arange(len(ends), dtype=ends.dtype, device=ends.device)
        queries = query.view(len(query), heads, -1)
        return flash_attention(queries, key, value, (ones, ends), (1, longest), dropout)
    attended = []
    queries_of = query.split([layout.sequences for layout in layouts])
    chunks = key_value.split([layout.rows for layout in layouts])
    for first, chunk, layout in zip(queries_of, chunks, layouts, strict=True):
        key, value = _grid(chunk, layout, 2, heads)
        queries = first.view(layout.sequences, heads, 1, -1).to(key.dtype)
        attended.append(_attend(queries, key, value, layout.mask, dropout).reshape(first.shape))
    return torch.cat(attended) if len(attended) > 1 else attended[0]


def flash_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    ends: tuple[Tensor, Tensor],
    longest: tuple[int, int],
    dropout: float,
) -> Tensor:
    """Attention inside each sequence of packed rows, by the variable-length kernel of a GPU.

    FlashAttention-2 (Dao 2023). torch's public function for it, ``varlen_attn``, has no dropout.

    Args:
        query, key, value: (N, heads, d) in half precision. Queries may have another N.
        ends: ends of the sequences after a leading 0, int32, for queries and for keys.
        longest: tokens of the longest sequence, for queries and for keys.

    Returns:
        The attended values, shape (N of queries, heads d).
    """
    outputs = torch.ops.aten._flash_attention_forward(
        query, key, value, *ends, *longest, dropout, False, False, scale=query.shape[-1] ** -0.5
    )
    attended: Tensor = outputs[0].flatten(1)
    return attended


def supports_flash(rows: Tensor, width: int) -> bool:
    """Whether the kernel supports heads of this width, on this device, in this precision."""
    if not rows.is_cuda or rows.dtype not in (torch.bfloat16, torch.float16):
        return False
    capable = _capability(rows.device) >= (8, 0)
    # Wider heads, up to 256, have no backward pass with dropout on every GPU.
    return capable and width % 8 == 0 and width <= 192


_capability = cache(torch.cuda.get_device_capability)


def _ends(layouts: Sequence[SequenceLayout]) -> Tensor:
    return _cached_ends(tuple(layouts))


# Every layer of a pass asks anew; layouts compare by identity.
@lru_cache(maxsize=8)
def _cached_ends(layouts: tuple[SequenceLayout, ...]) -> Tensor:
    assert all(layout.rows == layout.tokens for layout in layouts), "a GPU's batches are not filled"
    starts = _starts(layouts)
    last = torch.full_like(starts[:1], sum(layout.tokens for layout in layouts))
    return torch.cat([starts, last]).to(torch.int32)


def _starts(layouts: Sequence[SequenceLayout]) -> Tensor:
    """The row of every sequence's first token in joined rows, shape (B,)."""
    offsets = itertools.accumulate((layout.rows for layout in layouts), initial=0)
    starts = [layout.starts + offset for layout, offset in zip(layouts, offsets, strict=False)]
    return torch.cat(starts) if len(starts) > 1 else starts[0]


def first_rows(rows: Tensor, layouts: Sequence[SequenceLayout]) -> Tensor:
    """The rows of every sequence's first token: (N, H) to (B, H)."""
    starts = _starts(layouts)
    first: Tensor = _Unpad.apply(rows, starts, len(starts))
    return first


def _grid(rows: Tensor, layout: SequenceLayout, parts: int, heads: int) -> Tensor:
    """Packed rows of ``parts`` vectors side by side, as (parts, B, heads, longest, d)."""
    cells = layout.sequences * layout.longest
    if not rows.is_cuda and layout.longest <= _SHORT:
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    grid = rows if layout.index is None else _Pad.apply(rows, layout.index, cells)
    split = grid.view(layout.sequences, layout.longest, parts, heads, -1)
    return split.permute(2, 0, 3, 1, 4)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float
) -> Tensor:
    """``softmax(q k' / sqrt(d) + mask) v``: query (B, heads, Q, d), key and value with longest."""
    if query.is_cuda:
        mask = None if mask is None else mask.to(query.dtype)
        return F.scaled_dot_product_attention(query, key, value, mask, dropout)
    # On a CPU plain products beat the fused kernel, whose backward pass with a mask is slow.
    with torch.autocast("cpu", enabled=False):
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        weights = _softmax(scores if mask is None else scores + mask)
        return drop(weights, dropout).to(value.dtype) @ value


def _softmax(scores: Tensor) -> Tensor:
    """Softmax over the last dimension, on a CPU."""
    length = scores.shape[-1]
    if length >= _REGISTER:
        return torch.softmax(scores, dim=-1)
    # torch computes rows shorter than a vector register number by number, 15 times as slowly.
    padded = F.pad(scores, (0, _REGISTER - length), value=float("-inf"))
    return torch.softmax(padded, dim=-1)[..., :length]
