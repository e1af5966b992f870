"""Packed attention: layouts by hand, and gradients against finite differences."""

import pytest
import torch

from mtl_sharing.model.encoder import attention
from mtl_sharing.model.encoder.attention import (
    SequenceLayout,
    first_token_attention,
    packed_attention,
)

CPU = torch.device("cpu")


def test_layout_of_mixed_lengths():
    layout = SequenceLayout.of([2, 1, 3], CPU)
    assert (layout.sequences, layout.longest, layout.tokens) == (3, 3, 6)
    assert layout.starts.tolist() == [0, 2, 3]
    assert layout.index.tolist() == [0, 1, 3, 6, 7, 8]
    assert layout.positions().tolist() == [0, 1, 0, 0, 1, 2]
    assert layout.sequence_of_token().tolist() == [0, 0, 1, 2, 2, 2]
    assert torch.isinf(layout.mask[:, 0, 0]).tolist() == [
        [False, False, True],
        [False, True, True],
        [False, False, False],
    ]


def test_layout_of_equal_lengths_is_the_grid():
    layout = SequenceLayout.of([2, 2, 2], CPU)
    assert (layout.index, layout.mask) == (None, None)
    assert layout.positions().tolist() == [0, 1, 0, 1, 0, 1]
    assert layout.sequence_of_token().tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("runs", [[[2, 1, 3]], [[3, 3]], [[2, 2], [1, 4]], [[1]]])
def test_attention_is_that_of_each_sequence_alone_and_so_is_its_gradient(runs):
    layouts = [SequenceLayout.of(lengths, CPU) for lengths in runs]
    lengths = [length for run in runs for length in run]
    torch.manual_seed(2)
    qkv = torch.randn(sum(lengths), 3 * 10, dtype=torch.float64, requires_grad=True)
    wanted = []
    for rows in qkv.split(lengths):
        q, k, v = (part.view(-1, 2, 5) for part in rows.chunk(3, dim=1))
        weights = (torch.einsum("ihd,jhd->hij", q, k) / 5**0.5).softmax(dim=-1)
        wanted.append(torch.einsum("hij,jhd->ihd", weights, v).flatten(1))
    found = packed_attention(qkv, layouts, heads=2, dropout=0.0)
    torch.testing.assert_close(found, torch.cat(wanted))
    assert torch.autograd.gradcheck(lambda x: packed_attention(x, layouts, 2, 0.0), qkv)


def test_dropout_drops_attention_weights():
    layouts = [SequenceLayout.of([7, 5], CPU)]
    qkv = torch.randn(12, 30)
    first, second = (packed_attention(qkv, layouts, 2, 0.5) for _ in range(2))
    assert not torch.equal(first, second)


def by_sequence(query, key, value, ends, longest, dropout):
    """What the variable-length kernel computes, one sequence after the other."""
    assert all(int(e.diff().max()) == most for e, most in zip(ends, longest, strict=True))
    lengths = [each.diff().tolist() for each in (ends[0], ends[1], ends[1])]
    rows = (query, key, value)
    parts = [one.split(each) for one, each in zip(rows, lengths, strict=True)]
    found = []
    for q, k, v in zip(*parts, strict=True):
        weights = (torch.einsum("ihd,jhd->hij", q, k) / q.shape[-1] ** 0.5).softmax(dim=-1)
        found.append(torch.einsum("hij,jhd->ihd", weights, v).flatten(1))
    return torch.cat(found)


@pytest.mark.parametrize("runs", [[[2, 1, 3]], [[3, 3]], [[2, 2], [1, 4]], [[1]]])
def test_a_gpu_s_kernel_is_told_where_sequences_end(monkeypatch, runs):
    layouts = [SequenceLayout.of(lengths, CPU) for lengths in runs]
    sequences, tokens = sum(map(len, runs)), sum(map(sum, runs))
    qkv, query = torch.randn(tokens, 3 * 10), torch.randn(sequences, 10)
    plain = (
        packed_attention(qkv, layouts, 2, 0.0),
        first_token_attention(query, qkv[:, 10:], layouts, 2, 0.0),
    )
    monkeypatch.setattr(attention, "supports_flash", lambda rows, width: True)
    monkeypatch.setattr(attention, "flash_attention", by_sequence)
    torch.testing.assert_close(packed_attention(qkv, layouts, 2, 0.0), plain[0])
    found = first_token_attention(query, qkv[:, 10:].contiguous(), layouts, 2, 0.0)
    torch.testing.assert_close(found, plain[1])


def test_the_kernel_exists_with_its_gradient():
    """The operator is private to torch. The meta device computes shapes without a GPU."""
    reason = "torch no longer has aten._flash_attention_forward; see attention.flash_attention"
    assert hasattr(torch.ops.aten, "_flash_attention_forward"), reason
    rows = torch.empty(13, 3, 2, 8, device="meta", dtype=torch.bfloat16, requires_grad=True)
    ends = torch.empty(4, device="meta", dtype=torch.int32)
    found = attention.flash_attention(*rows.unbind(1), (ends, ends), (7, 7), 0.1)
    found.sum().backward()
    assert (found.shape, rows.grad.shape) == ((13, 16), rows.shape)
