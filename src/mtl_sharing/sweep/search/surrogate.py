"""A Gaussian process over regimes and seeds, averaged over its hyperparameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm, qmc
from sklearn import config_context
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel

from mtl_sharing.sweep.search.kernel import (
    UNSET,
    HeldOutKernel,
    RegimeKernel,
    SeedKernel,
    Values,
)

_DRAWS = 32
# Median and spread (of the logarithm) of each hyperparameter before a training is known:
# deviation of performance over regimes; of one training; of a seed over all regimes; length in
# shares of the layers. Small deviations of one training would let few trainings look certain.
_PRIORS = {
    "regimes": (0.03, 0.7),
    "noise": (0.012, 0.5),
    "seeds": (0.004, 0.8),
    "length": (0.3, 0.5),
}
_COMMON = 0.6
# Deviation of the mean of all regimes around that of the trainings.
_OFFSET = 0.05
# Hyperparameters less likely than this share of the likeliest ones are left out.
_LEAST = 0.05


@dataclass(frozen=True)
class Hyperparameters:
    """Deviations of performance: over regimes, of a training, of a seed; length of the kernel."""

    regimes: float
    noise: float
    seeds: float
    length: float


@cache
def prior_draws() -> tuple[Hyperparameters, ...]:
    """Evenly spread draws from the prior, always the same."""
    unit = qmc.Sobol(len(_PRIORS), seed=0).random(_DRAWS)
    unit = (np.floor(unit * _DRAWS) + 0.5) / _DRAWS
    columns = [
        median * np.exp(spread * norm.ppf(unit[:, column]))
        for column, (median, spread) in enumerate(_PRIORS.values())
    ]
    return tuple(Hyperparameters(*map(float, row)) for row in zip(*columns, strict=True))


@dataclass(frozen=True)
class Component:
    """The process with one of the hyperparameters, and the weight that the trainings give it."""

    weight: float
    settings: Hyperparameters
    process: GaussianProcessRegressor
    offset: float

    def predict(self, rows: Values) -> tuple[Values, Values]:
        """Mean, shape (R,), and covariance, shape (R, R), without the noise of a training."""
        with config_context(assume_finite=True, skip_parameter_validation=True):
            mean, covariance = self.process.predict(rows, return_cov=True)
        return mean + self.offset, covariance


def fit(
    rows: Values,
    performances: Values,
    kinds: Sequence[str],
    draws: Sequence[Hyperparameters],
    held_out: float = 0.0,
) -> list[Component]:
    """The processes that explain trainings, the likeliest first.

    The performance of regime x with seed s is ``offset + f(x) + g(x) + b_s + noise``, where g is
    what the choice of held-out examples gives it, independent between regimes. The average over
    hyperparameters is by importance: each draw from their prior is weighted by its likelihood.

    Args:
        rows: features and seed of each training, shape (N, D + 1).
        performances: shape (N,).
        kinds: the kind of each feature.
        draws: hyperparameters to average over.
        held_out: standard deviation of g.
    """
    offset = float(performances.mean())
    processes = [_process(own, kinds, held_out) for own in draws]
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for process in processes:
            process.fit(rows, performances - offset)
    logs = np.array([process.log_marginal_likelihood_value_ for process in processes])
    kept = np.flatnonzero(logs > logs.max() + np.log(_LEAST))
    weights = np.exp(logs[kept] - logsumexp(logs[kept]))
    return [
        Component(float(weights[i]), draws[kept[i]], processes[kept[i]], offset)
        for i in np.argsort(-weights, kind="stable")
    ]


def _process(
    own: Hyperparameters, kinds: Sequence[str], held_out: float
) -> GaussianProcessRegressor:
    regimes = ConstantKernel(own.regimes**2) * RegimeKernel(tuple(kinds), own.length, _COMMON)
    kernel = ConstantKernel(_OFFSET**2) + regimes + ConstantKernel(own.seeds**2) * SeedKernel()
    if held_out:
        kernel += ConstantKernel(held_out**2) * HeldOutKernel()
    return GaussianProcessRegressor(kernel, alpha=own.noise**2, optimizer=None)


def without_seed(features: Values) -> Values:
    """Rows of regimes over all seeds."""
    return np.column_stack([features, np.full(len(features), UNSET)])
