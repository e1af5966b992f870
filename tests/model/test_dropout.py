"""Dropout by 16 random bits, against what dropout has to be."""

import pytest
import torch

from mtl_sharing.model.encoder.dropout import Dropout, add_dropout, dropout

ROWS, WIDTH = 997, 523  # an odd number of values, so that a word of four is cut


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(ROWS, WIDTH), (11, 13)])
def test_the_share_dropped_lies_within_its_binomial_bound(rate, shape):
    found = dropout(torch.ones(shape).expand(shape).contiguous(), rate)
    count = found.numel()
    dropped = int((found == 0).sum())
    assert abs(dropped - rate * count) < 5 * (rate * (1 - rate) * count) ** 0.5
    kept = found[found != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)), rtol=2e-4, atol=0)


def test_positions_are_independent():
    """No row, column or neighbour is dropped more often with another than by chance."""
    kept = (dropout(torch.ones(ROWS, WIDTH), 0.3) != 0).double()
    for counts, of in ((kept.sum(0), ROWS), (kept.sum(1), WIDTH)):
        assert ((counts - 0.7 * of).abs() < 6 * (0.21 * of) ** 0.5).all()
    flat = kept.flatten() - 0.7
    for lag in (1, 2, 3, 4, WIDTH):
        correlation = (flat[lag:] * flat[:-lag]).mean() / 0.21
        assert abs(correlation) < 5 / len(flat) ** 0.5


def test_it_follows_torchs_seed_and_draws_anew():
    values = torch.ones(ROWS, WIDTH)
    torch.manual_seed(3)
    first, second = dropout(values, 0.5), dropout(values, 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropout(values, 0.5), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_value_and_its_gradient_are_dropped_together(dtype):
    values = torch.rand(ROWS, WIDTH, dtype=dtype).add_(1).requires_grad_()
    found = dropout(values, 0.25)
    found.sum().backward()
    torch.testing.assert_close(found, values * values.grad)
    assert found.dtype == dtype


def test_a_sum_with_dropout_is_the_sum_of_both():
    sums = torch.randn(ROWS, WIDTH, requires_grad=True)
    values = torch.randn(ROWS, WIDTH, requires_grad=True)
    torch.manual_seed(1)
    found = add_dropout(sums, values, 0.1)
    torch.manual_seed(1)
    torch.testing.assert_close(found, sums + dropout(values, 0.1))
    found.sum().backward()
    assert (sums.grad == 1).all()
    torch.testing.assert_close(found.detach(), (sums + values * values.grad).detach())


@pytest.mark.parametrize("shape", [(ROWS, WIDTH), (5, 7)])
def test_the_ends_of_the_range(shape):
    values = torch.ones(shape)
    assert dropout(values, 0.0) is values
    assert not dropout(values, 1.0).any()
    assert add_dropout(values, values, 1.0).eq(1).all()


@pytest.mark.parametrize("add", [True, False])
def test_bf16_rounds_no_scale(add):
    values = torch.ones(ROWS, WIDTH, dtype=torch.bfloat16, requires_grad=True)
    sums = torch.zeros(ROWS, WIDTH)
    found = add_dropout(sums, values, 0.1) if add else dropout(values.float(), 0.1)
    found.sum().backward()
    kept = found[found != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / 0.9), rtol=2e-4, atol=0)
    gradient = values.grad[found != 0].float()
    # bf16 has three digits: the next number below 1.1111 is 1.1094, the next above 1.1172.
    assert abs(float(gradient.mean()) - 1 / 0.9) < 0.004


def test_nothing_is_dropped_in_evaluation():
    module, values = Dropout(0.5), torch.ones(ROWS, WIDTH)
    assert module(values).min() == 0
    assert module.eval()(values) is values
