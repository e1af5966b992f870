"""Penalties over tied weights against loops written out by hand, in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_sharing.errors import UserError
from mtl_sharing.objectives.ties import KINDS, check_tie, make_tie
from mtl_sharing.plan.settings import TieConfig

# Two of equal size and unequal shape, one that no other matches, a vector shorter than the copies.
SHAPES = ((3, 4), (7,), (2, 6), (5, 3, 1), (1,))
COUNT = 12 + 7 + 12 + 15 + 1
DEGREE = {"pairs": 2, "mean": 2, "trace_norm": 1}


def draw(number, seed=0, shapes=SHAPES, dtype=torch.float64):
    """Weights of ``number`` tasks, each a leaf that takes a gradient."""
    random = torch.Generator().manual_seed(seed)
    return [
        [torch.randn(shape, generator=random, dtype=dtype).requires_grad_() for shape in shapes]
        for _ in range(number)
    ]


def penalty(kind, copies, strength=1.0, average=False):
    """The penalty, and the gradient that it adds to each weight, task by task."""
    flat = [weight for copy in copies for weight in copy]
    for weight in flat:
        weight.grad = None
    value = make_tie(TieConfig(kind, strength, average), copies).add_gradient()
    return value, [weight.grad for weight in flat]


def value_of(kind, copies, strength=1.0, average=False):
    return penalty(kind, copies, strength, average)[0]


def arrays(copies):
    """For each weight its copies as rows of numbers."""
    return [
        np.stack([w.detach().numpy().ravel() for w in each]) for each in zip(*copies, strict=True)
    ]


def by_hand(kind, copies):
    total = 0.0
    for rows in arrays(copies):
        if kind == "trace_norm":
            total += np.linalg.svd(rows, compute_uv=False).sum()
            continue
        for i, row in enumerate(rows):
            if kind == "mean":
                total += sum((row - sum(rows) / len(rows)) ** 2)
            for other in rows[i + 1 :] if kind == "pairs" else ():
                total += sum((row - other) ** 2)
    return total


def naive(kind, copies):
    """The same as :func:`by_hand` in torch, one weight after the other, for its gradient."""
    total = 0.0
    for each in zip(*copies, strict=True):
        rows = torch.stack([weight.flatten() for weight in each])
        if kind == "trace_norm":
            total = total + torch.linalg.svdvals(rows).sum()
        elif kind == "mean":
            total = total + (rows - rows.mean(dim=0)).pow(2).sum()
        else:
            total = total + sum((a - b).pow(2).sum() for n, a in enumerate(rows) for b in rows[:n])
    return total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_value_is_the_one_by_hand(kind, number):
    copies = draw(number)
    found = value_of(kind, copies, strength=0.3)
    assert isinstance(found, float)
    assert found == pytest.approx(0.3 * by_hand(kind, copies), rel=1e-10)


def test_values_worked_out_on_paper():
    copies = [[torch.tensor([1.0, 2.0])], [torch.tensor([4.0, 6.0])], [torch.tensor([1.0, 4.0])]]
    # Squared distances 25, 4 and 13; to the mean (2, 4): 5, 8 and 1.
    assert value_of("pairs", copies) == pytest.approx(42)
    assert value_of("mean", copies) == pytest.approx(14)
    # Rows at right angles: the singular values are their lengths.
    copies = [[torch.tensor([[3.0, 0.0], [4.0, 0.0]])], [torch.tensor([[0.0, 5.0], [0.0, 12.0]])]]
    assert value_of("trace_norm", copies) == pytest.approx(5 + 13)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_gradient_is_that_of_a_naive_loop(kind, number):
    copies = draw(number, shapes=((3, 4), (7,), (2, 6), (5, 3, 1)))
    _, found = penalty(kind, copies, strength=0.7)
    flat = [weight for copy in copies for weight in copy]
    wanted = torch.autograd.grad(0.7 * naive(kind, copies), flat)
    assert all(gradient.any() for gradient in wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.dtype == torch.float64
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_gradient_is_that_of_small_steps(kind, number):
    copies, step = draw(number, 1, ((2, 3), (6,))), 1e-5
    _, found = penalty(kind, copies, strength=1.3)
    flat = [weight.detach() for copy in copies for weight in copy]
    for weight, gradient in zip(flat, found, strict=True):
        numbers, slopes = weight.view(-1), gradient.flatten().tolist()
        for place, slope in enumerate(slopes):
            numbers[place] += step
            above = value_of(kind, copies, strength=1.3)
            numbers[place] -= 2 * step
            below = value_of(kind, copies, strength=1.3)
            numbers[place] += step
            assert (above - below) / (2 * step) == pytest.approx(slope, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_added_to_what_is_there(kind):
    copies = draw(3, 2)
    value, wanted = penalty(kind, copies)
    flat = [weight for copy in copies for weight in copy]
    before = [weight.detach().clone() for weight in flat]
    for number, weight in enumerate(flat):
        weight.grad = torch.full_like(weight, number)
    assert make_tie(TieConfig(kind, 1.0), copies).add_gradient() == value
    for number, (weight, gradient) in enumerate(zip(flat, wanted, strict=True)):
        torch.testing.assert_close(weight.grad, number + gradient)
    assert all(torch.equal(weight, old) for weight, old in zip(flat, before, strict=True))


@pytest.mark.parametrize("number", [2, 3, 5])
def test_pairs_is_the_mean_times_the_number_of_copies(number):
    copies = draw(number, 3)
    (pairs, found), (mean, wanted) = penalty("pairs", copies), penalty("mean", copies)
    assert pairs == pytest.approx(number * mean, rel=1e-12)
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, number * theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [2, 5])
def test_average_divides_by_the_weights_of_one_task(kind, number):
    copies = draw(number, 4)
    whole, wanted = penalty(kind, copies, 0.4)
    share, found = penalty(kind, copies, 0.4, average=True)
    assert share == pytest.approx(whole / COUNT, rel=1e-12)
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs / COUNT)


@pytest.mark.parametrize("kind", KINDS)
def test_without_strength_or_weights_there_is_no_penalty(kind):
    assert make_tie(TieConfig(kind, 0.0), draw(2)) is None
    assert make_tie(TieConfig(kind, 0.5), []) is None
    assert make_tie(TieConfig(kind, 0.5), [[], []]) is None
    assert make_tie(TieConfig(kind, 1e-9), draw(2)) is not None


def equal_copies(number, dtype):
    (first,) = draw(1, 5, dtype=dtype)
    return [[weight.detach().clone() for weight in first] for _ in range(number)]


@pytest.mark.parametrize("kind", ["pairs", "mean"])
@pytest.mark.parametrize("number", [2, 3, 5])
def test_equal_copies_are_not_pulled(kind, number):
    value, found = penalty(kind, equal_copies(number, torch.float64))
    assert value == pytest.approx(0, abs=1e-25)
    assert max(gradient.abs().max() for gradient in found) < 1e-14


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_trace_norm_of_equal_copies_shortens_them_all_alike(number, dtype):
    """``|1 w'|_* = sqrt(K) |w|``, so each copy is pulled along ``w / (sqrt(K) |w|)``."""
    copies = equal_copies(number, dtype)
    value, found = penalty("trace_norm", copies)
    lengths = [float(weight.double().pow(2).sum().sqrt()) for weight in copies[0]]
    assert value == pytest.approx(number**0.5 * sum(lengths), rel=1e-6)
    each = zip(copies[0], lengths, strict=True)
    wanted = [weight.double() / (number**0.5 * length) for weight, length in each]
    for gradient, along in zip(found, number * wanted, strict=True):
        torch.testing.assert_close(gradient.double(), along, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_trace_norm_sees_small_differences_in_float32(number):
    """Fine-tuned copies differ little beside their size; a product of all rows would lose it."""
    random = torch.Generator().manual_seed(11)
    first = torch.randn(40, 25, generator=random)
    noise = [torch.randn(40, 25, generator=random) for _ in range(number)]
    copies = [[first + 1e-4 * each] for each in noise]
    value, found = penalty("trace_norm", copies)
    (rows,) = arrays(copies)
    left, singular, right = np.linalg.svd(rows.astype(np.float64), full_matrices=False)
    assert value == pytest.approx(singular.sum(), rel=1e-6)
    away = np.stack([gradient.numpy().ravel() for gradient in found]) - left @ right
    assert np.linalg.norm(away) < 0.01 * number**0.5


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_all_zero_give_no_nan(kind):
    value, found = penalty(kind, [[torch.zeros(4)] for _ in range(3)])
    assert value == 0
    assert all(torch.equal(gradient, torch.zeros(4)) for gradient in found)


@pytest.mark.parametrize("kind", KINDS)
def test_small_steps_against_the_gradient_lower_the_penalty(kind):
    copies = draw(3, 7)
    before, found = penalty(kind, copies)
    steps = iter(found)
    moved = [[(weight - 1e-3 * next(steps)).detach() for weight in copy] for copy in copies]
    assert value_of(kind, moved) < before


@pytest.mark.parametrize(
    ("kind", "strength", "field", "named"),
    [
        ("pair", 0.1, "sharing.tie.kind", "pair "), ("", 0.1, "sharing.tie.kind", ""),
        ("pairs", -0.1, "sharing.tie.strength", "-0.1"),
        ("mean", float("nan"), "sharing.tie.strength", "nan"),
        ("trace_norm", float("inf"), "sharing.tie.strength", "inf"),
    ],
)  # fmt: skip
def test_bad_settings_are_named(kind, strength, field, named):
    with pytest.raises(UserError) as caught:
        check_tie(TieConfig(kind, strength))
    assert caught.value.where == field
    assert named in str(caught.value.found)


seeds, numbers = st.integers(0, 2**31), st.integers(2, 5)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(KINDS), seeds, numbers)
def test_no_penalty_is_negative(kind, seed, number):
    assert value_of(kind, draw(number, seed)) > 0


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(KINDS), seeds, numbers, st.randoms(use_true_random=False))
def test_the_order_of_the_copies_changes_nothing(kind, seed, number, random):
    copies = draw(number, seed)
    mixed = random.sample(copies, number)
    assert value_of(kind, mixed) == pytest.approx(value_of(kind, copies), rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(KINDS), seeds, numbers, st.floats(1e-3, 1e3))
def test_scaled_weights_scale_the_penalty(kind, seed, number, scale):
    copies = draw(number, seed)
    scaled = [[scale * weight.detach() for weight in copy] for copy in copies]
    wanted = scale ** DEGREE[kind] * value_of(kind, copies)
    assert value_of(kind, scaled) == pytest.approx(wanted, rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(["pairs", "mean"]), seeds, numbers)
def test_moving_all_copies_together_changes_nothing(kind, seed, number):
    copies, (shift,) = draw(number, seed), draw(1, seed + 1)
    moved = [[(w + s).detach() for w, s in zip(copy, shift, strict=True)] for copy in copies]
    assert value_of(kind, moved) == pytest.approx(value_of(kind, copies), rel=1e-9)


def test_torch_has_the_private_functions_that_run_over_all_weights_at_once():
    names = ("_foreach_add_", "_foreach_div_", "_foreach_sub", "_foreach_mul_")
    missing = [name for name in names if not hasattr(torch, name)]
    assert not missing, "torch dropped foreach functions that objectives/ties.py uses"
