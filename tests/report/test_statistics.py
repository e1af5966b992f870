"""Intervals and tests against hand-computed, published and enumerated values."""

from math import comb

import numpy as np
import pytest
from scipy import stats

from mtl_sharing.report.analysis.statistics import (
    Summary,
    holm,
    mcnemar,
    paired_bootstrap,
    summarize,
    williams,
)


def test_mean_and_deviation_by_hand():
    assert summarize([]) == Summary(0)
    assert summarize([2.0]) == Summary(1, 2.0)
    assert summarize([1.0, 4.0]) == Summary(2, 2.5, pytest.approx(4.5**0.5))
    assert summarize([3.0] * 5) == Summary(5, 3.0, 0.0)
    assert summarize([0.3, 0.1 + 0.2, 0.3]).deviation == 0.0
    found = summarize([1.0, 2.0, 6.0])
    assert (found.mean, found.deviation) == (3.0, pytest.approx(7**0.5))
    assert summarize([1.0, 2.0, 6.0], interval=False).low is None


@pytest.mark.parametrize("values", [[1.0, 2.0, 6.0], [0.5, 0.1, 0.9, 0.3], [5.0, 1, 2, 9, 4]])
def test_the_interval_is_student_s(values):
    found = summarize(values)
    wanted = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_the_interval_of_three_seeds_misses_the_mean_as_often_as_it_says():
    random = np.random.default_rng(4)
    found = [summarize(values) for values in random.normal(2.0, 1.0, (1000, 3))]
    missed = sum(not (s.low <= 2.0 <= s.high) for s in found)
    assert 0.03 < missed / 1000 < 0.07


def test_mcnemar_by_hand():
    one = np.array([1] * 8 + [0] * 2 + [1] * 5 + [0] * 7, dtype=bool)
    other = np.array([0] * 8 + [1] * 2 + [1] * 5 + [0] * 7, dtype=bool)
    wanted = 2 * sum(comb(10, k) for k in range(3)) / 2**10
    assert mcnemar(one, other) == pytest.approx(wanted) == pytest.approx(0.109375)
    assert mcnemar(other, one) == mcnemar(one, other)
    assert mcnemar(one, one) == 1.0


def test_williams_published_example():
    # The documentation of R's psych::r.test(n=103, r12=.4, r13=.5, r23=.1): -0.89, p = 0.37.
    t, p = williams(0.4, 0.5, 0.1, 103)
    assert (round(t, 2), round(p, 2)) == (-0.89, 0.37)
    assert williams(0.5, 0.4, 0.1, 103) == (-t, p)
    assert williams(0.5, 0.5, 1.0, 103) == (0.0, 1.0)


def test_williams_is_wrong_as_often_as_it_says():
    random = np.random.default_rng(3)
    shared = random.multivariate_normal([0] * 3, [[1, 0.6, 0.6], [0.6, 1, 0.5], [0.6, 0.5, 1]],
                                        size=(1500, 40))  # fmt: skip
    r = [np.corrcoef(sample, rowvar=False) for sample in shared]
    below = [williams(m[0, 1], m[0, 2], m[1, 2], 40)[1] < 0.05 for m in r]
    assert np.mean(below) == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / 1500) ** 0.5)


def test_holm_published_example():
    # R: p.adjust(c(.01, .02, .03, .04, .05), "holm")
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.04, 0.01]) == pytest.approx([0.04, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_group_does_not_differ_from_itself():
    found = paired_bootstrap(np.zeros(3), np.zeros((3, 100)))
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_without_spread_of_examples_it_is_the_paired_t_test():
    observed = np.array([0.01, 0.03, -0.01, 0.04, 0.02])
    found = paired_bootstrap(observed, np.repeat(observed[:, None], 200, axis=1))
    wanted = stats.ttest_1samp(observed, 0.0)
    interval = wanted.confidence_interval(0.95)
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_one_seed_has_the_spread_of_its_examples():
    random = np.random.default_rng(0)
    each = random.choice([-1.0, 0, 0, 1], size=400)
    drawn = each[random.integers(400, size=(4000, 400))].mean(axis=1)
    found = paired_bootstrap(each.mean(keepdims=True), drawn[None])
    error = each.std() / 20
    assert found.high - found.mean == pytest.approx(1.96 * error, rel=0.05)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(each.mean()) / error), abs=0.03)


def test_a_p_value_is_no_smaller_than_the_resamples_can_see():
    assert paired_bootstrap(np.ones(3), np.ones((3, 99))).p == 0.01


@pytest.mark.parametrize(("of_seeds", "highest"), [(0.0, 0.06), (0.03, 0.08)])
def test_differences_that_are_none_are_seldom_found(of_seeds, highest):
    """Three seeds, with and without a spread of their own, beside that of 100 examples."""
    random, below = np.random.default_rng(1), 0
    for _ in range(300):
        # What examples have in common over seeds, what each seed makes of it, and each seed.
        common, own = random.normal(size=100) * 0.3, random.normal(size=(3, 100)) * 0.3
        each = common + own + random.normal(size=(3, 1)) * of_seeds
        drawn = random.integers(100, size=(150, 100))
        found = paired_bootstrap(each.mean(axis=1), each[:, drawn].mean(axis=2))
        below += found.p < 0.05
    assert below / 300 < highest


def test_real_differences_are_found():
    random, found = np.random.default_rng(1), []
    for _ in range(50):
        each = 0.15 + random.normal(size=100) * 0.3 + random.normal(size=(3, 100)) * 0.3
        drawn = random.integers(100, size=(150, 100))
        found.append(paired_bootstrap(each.mean(axis=1), each[:, drawn].mean(axis=2)).p < 0.05)
    assert np.mean(found) > 0.9
