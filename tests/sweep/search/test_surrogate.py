"""The surrogate against formulas written out here."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_sharing.sweep.search.kernel import (
    CATEGORY,
    DEPTH,
    SETTING,
    UNSET,
    RegimeKernel,
    SeedKernel,
)
from mtl_sharing.sweep.search.surrogate import Hyperparameters, fit, prior_draws, without_seed

OWN = Hyperparameters(regimes=0.05, noise=0.01, seeds=0.02, length=0.3)


def test_a_kernel_by_hand():
    kernel = RegimeKernel((DEPTH, SETTING, CATEGORY), 0.5, 0.64)
    one, two = np.array([[0.25, 0.5, 0.0, 7.0]]), np.array([[0.75, 0.0, 1.0, 7.0]])
    setting = 0.64 + 0.36 * np.exp(-2 * 0.25)
    assert kernel(one, two).item() == pytest.approx(np.exp(-0.5) * setting * 0.64)
    unset = np.array([[0.25, UNSET, 0.0, 7.0]])
    assert kernel(one, unset).item() == pytest.approx(0.8)
    assert SeedKernel()(one, two).item() == 1
    assert SeedKernel()(without_seed(one[:, :3]), without_seed(one[:, :3])).item() == 0


@given(st.integers(0, 10**6), st.floats(0.05, 2.0), st.floats(0.0, 1.0))
def test_every_kernel_is_a_covariance(seed, length, common):
    random = np.random.default_rng(seed)
    features = random.choice([UNSET, 0.0, 0.25, 1.0], size=(17, 5))
    matrix = RegimeKernel((DEPTH, SETTING, SETTING, CATEGORY), length, common)(features)
    assert np.array_equal(matrix, matrix.T) and np.allclose(np.diag(matrix), 1)
    assert np.linalg.eigvalsh(matrix).min() > -1e-9


def test_a_prediction_is_the_posterior_mean_and_covariance():
    depths, seeds = np.array([0.0, 1.0, 0.5, 0.0]), np.array([3.0, 3.0, 4.0, 4.0])
    performances = np.array([0.8, 0.7, 0.78, 0.83])
    rows = np.column_stack([depths, seeds])
    (own,) = fit(rows, performances, (DEPTH,), [OWN])

    def prior(one, two, seeds_one, seeds_two):
        near = np.exp(-((one[:, None] - two) ** 2) / (2 * OWN.length**2))
        same = (seeds_one[:, None] == seeds_two).astype(float)
        return 0.05**2 + OWN.regimes**2 * near + OWN.seeds**2 * same

    new, none = np.array([0.0, 0.3, 0.9]), np.full(3, UNSET)
    inverse = np.linalg.inv(prior(depths, depths, seeds, seeds) + OWN.noise**2 * np.eye(4))
    cross = prior(new, depths, none, seeds)
    expected = performances.mean() + cross @ inverse @ (performances - performances.mean())
    # Over all seeds, not for one of them: the seeds' part is the mean of seeds, which is 0.
    covariance = prior(new, new, none, none + 1000.5) - cross @ inverse @ cross.T
    mean, both = own.predict(without_seed(new[:, None]))
    assert own.weight == 1
    assert mean == pytest.approx(expected) and both == pytest.approx(covariance)


@pytest.mark.parametrize("deviation", [0.0, 0.02, 0.2])
def test_what_the_held_out_examples_give_is_no_part_of_a_regime(deviation):
    """Differences within it are not believed; all of f's variance is, where there is none."""
    rows = np.array([[0.0, 0.0], [1.0, 0.0]])
    quiet = replace(OWN, noise=1e-5, seeds=1e-5, length=0.1)
    (own,) = fit(rows, np.array([0.7, 0.8]), (DEPTH,), [quiet], deviation)
    mean, covariance = own.predict(without_seed(rows[:, :1]))
    share = OWN.regimes**2 / (OWN.regimes**2 + deviation**2)
    assert mean[1] - mean[0] == pytest.approx(0.1 * share, rel=1e-4)
    left = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert left == pytest.approx(2 * OWN.regimes**2 * (1 - share), rel=1e-3, abs=1e-8)
    # The trainings themselves have it.
    assert own.predict(rows)[0] == pytest.approx([0.7, 0.8], abs=1e-4)


def test_seeds_that_two_regimes_share_do_not_blur_their_difference():
    """A seed's own part is as large as the whole difference, and equal for both."""
    parts = np.array([0.03, -0.02, 0.01, -0.03])
    seeds = np.tile(np.arange(4.0), 2)
    depths = np.repeat([0.0, 1.0], 4)
    performances = 0.8 - 0.02 * depths + np.tile(parts, 2)
    rows = np.column_stack([depths, seeds])

    def difference(seeds_of_second):
        own = rows.copy()
        own[4:, 1] += seeds_of_second
        components = fit(own, performances, (DEPTH,), prior_draws())
        contrast = np.array([1.0, -1.0])
        both = without_seed(np.array([[0.0], [1.0]]))
        means, variances = zip(
            *(
                (contrast @ m, contrast @ c @ contrast)
                for m, c in (x.predict(both) for x in components)
            ),
            strict=True,
        )
        weights = [one.weight for one in components]
        return np.dot(weights, means), np.sqrt(np.dot(weights, variances))

    mean, deviation = difference(0)
    _, unpaired_deviation = difference(10)
    assert mean == pytest.approx(0.02, abs=0.004)
    assert deviation < 0.6 * unpaired_deviation


def test_weights_are_those_of_the_likelihood():
    random = np.random.default_rng(2)
    rows = np.column_stack([random.uniform(size=40), np.arange(40.0)])
    quiet = 0.8 - 0.05 * rows[:, 0] + random.normal(0, 0.002, 40)
    loud = quiet + random.normal(0, 0.03, 40)

    def noise(performances):
        components = fit(rows, performances, (DEPTH,), prior_draws())
        assert sum(one.weight for one in components) == pytest.approx(1)
        return sum(one.weight * one.settings.noise for one in components)

    assert noise(quiet) < 0.006 < 0.015 < noise(loud)
