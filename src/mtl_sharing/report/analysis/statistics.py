"""Spreads, intervals and significance tests over seeds and examples (scipy)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

LEVEL = 0.95
FEWEST = 3
"""The interval of fewer values says nothing: that of two is 13 standard errors to each side."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Summary:
    """The values of one metric over seeds.

    Attributes:
        mean: None without values.
        deviation: standard deviation with n - 1 in the denominator; None below two values.
        low, high: interval of the mean, see :func:`summarize`; None below three values, and of
            equal ones.
    """

    n: int
    mean: float | None = None
    deviation: float | None = None
    low: float | None = None
    high: float | None = None


def summarize(values: Sequence[float], interval: bool = True) -> Summary:
    """Mean, standard deviation, and Student's 95% interval of the mean.

    The interval is ``mean +- t s / sqrt(n)`` with n - 1 degrees of freedom, so it covers other
    seeds on the same examples, and is wide for few of them.
    """
    data = np.asarray(values, dtype=np.float64)
    if not len(data):
        return Summary(0)
    mean = float(data.mean())
    if len(data) == 1:
        return Summary(1, mean)
    # Equal values that were rounded differently have no spread.
    equal = bool(np.ptp(data) <= 1e-12 * np.abs(data).max())
    deviation = 0.0 if equal else float(data.std(ddof=1))
    if len(data) < FEWEST or equal or not interval:
        return Summary(len(data), mean, deviation)
    from scipy.stats import t

    half = float(t.ppf((1 + LEVEL) / 2, len(data) - 1)) * deviation / math.sqrt(len(data))
    return Summary(len(data), mean, deviation, mean - half, mean + half)


def interval_of(summary: Summary) -> tuple[float, float] | None:
    """Both ends of the interval of the mean; None where there is none."""
    if summary.low is None or summary.high is None:
        return None
    return summary.low, summary.high


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """P-value of McNemar's exact test (1947) that two classifiers are right equally often.

    ``p = P(|X - n/2| >= |b - n/2|)`` with X ~ Binomial(n, 1/2), where n counts the examples that
    exactly one classifier has right and b those of the first; 1 if n is 0. Both shapes are (E,).
    """
    from scipy.stats import binomtest

    first, second = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    if first + second == 0:
        return 1.0
    return float(binomtest(first, first + second).pvalue)


def williams(one: float, other: float, between: float, examples: int) -> tuple[float, float]:
    """Williams' test of two correlations with the same variable (Steiger 1980, equation 7).

    ``t = (r1 - r2) sqrt((n-1)(1+r12) / (2 (n-1)/(n-3) |R| + m^2 (1-r12)^3))`` with ``n - 3``
    degrees of freedom, ``m = (r1+r2)/2`` and ``|R| = 1 - r1^2 - r2^2 - r12^2 + 2 r1 r2 r12``.

    Args:
        one, other: each side's correlation with the labels.
        between: the correlation of the two sides.
        examples: n, above 3.

    Returns:
        t and the two-sided p-value; 0 and 1 where both sides are the same.
    """
    from scipy.stats import t

    determinant = 1 - one**2 - other**2 - between**2 + 2 * one * other * between
    spread = 2 * (examples - 1) / (examples - 3) * max(0.0, determinant)
    spread += ((one + other) / 2) ** 2 * (1 - between) ** 3
    difference = one - other
    if difference == 0 or spread <= 0:
        return 0.0, 1.0
    value = difference * math.sqrt((examples - 1) * (1 + between) / spread)
    return value, float(2 * t.sf(abs(value), examples - 3))


@dataclass(frozen=True)
class Difference:
    """The mean difference of two regimes over seeds, its 95% interval and two-sided p-value."""

    mean: float
    low: float
    high: float
    p: float


def paired_bootstrap(observed: Values, resampled: Values) -> Difference:
    """Tests whether two regimes differ for other seeds and other examples.

    Let ``d_s`` be the difference for seed s of S, and ``D_sb`` the same in resample b of the
    examples, which all seeds share. The variance of the mean difference is

    ``v = Var_b(mean_s D_sb) + max(0, Var_s(d_s) - mean_b Var_s(D_sb - d_s)) / S``:

    the variance from the examples, and the seeds' variance without its part from the examples.
    Resampling seeds and examples together counts that part three times (Owen 2007). The interval
    is ``mean +- t_f sqrt(v)``, where f follows Satterthwaite (1946):
    ``f = v^2 / ((Var_s(d_s) / S)^2 / (S - 1))``. One seed has only the first term and a normal
    distribution; its result does not extend to other seeds.

    Args:
        observed: d, shape (S,).
        resampled: D, shape (S, B).

    Returns:
        The p-value is at least 1 / (B + 1), the resolution of B resamples.
    """
    from scipy.stats import norm, t

    seeds, resamples = resampled.shape
    mean = float(observed.mean())
    variance = float(resampled.mean(axis=0).var(ddof=1))
    curve: Any = norm
    if seeds > 1:
        of_seeds = float(observed.var(ddof=1))
        of_examples = float((resampled - observed[:, None]).var(axis=0, ddof=1).mean())
        variance += max(0.0, of_seeds - of_examples) / seeds
        if of_seeds > 0:
            freedom = variance**2 / ((of_seeds / seeds) ** 2 / (seeds - 1))
            curve = t(max(seeds - 1.0, freedom))
    error = math.sqrt(variance)
    p = 2 * float(curve.sf(abs(mean) / error)) if error else float(mean == 0)
    half = float(curve.ppf((1 + LEVEL) / 2)) * error
    return Difference(mean, mean - half, mean + half, max(p, 1 / (resamples + 1)))


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979) of a family of tests, in the given order.

    The k-th smallest of m is multiplied by ``m - k + 1`` and is at least the one before it.
    """
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = highest
    return adjusted
