"""Spreads, intervals and tests over seeds and examples (scipy)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

LEVEL = 0.95
# Fewer values than these have no bootstrap worth the name: two give three different means.
FEWEST = 3
RESAMPLES = 2000


@dataclass(frozen=True)
class Summary:
    """Some values of one figure, one for each seed.

    Attributes:
        n: how many there are.
        mean: None of none.
        deviation: with n - 1 in its denominator; None of one.
        low, high: the interval of the mean, see :func:`summarize`; None below three values.
    """

    n: int
    mean: float | None = None
    deviation: float | None = None
    low: float | None = None
    high: float | None = None


def summarize(values: Sequence[float], seed: int = 0, interval: bool = True) -> Summary:
    """Mean, standard deviation, and the percentile bootstrap's 95% interval of the mean.

    The interval resamples the values (Efron 1979), so it speaks of other seeds on the same
    examples. From few values it is too narrow: of three, the widest it can be is their range.

    Args:
        seed: of the resampling.
        interval: whether it is wanted; of hundreds of figures it takes seconds.
    """
    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        return Summary(0)
    mean = float(found.mean())
    if len(found) == 1:
        return Summary(1, mean)
    # Equal values that were rounded differently have no spread.
    alike = bool(np.ptp(found) <= 1e-12 * np.abs(found).max())
    deviation = 0.0 if alike else float(found.std(ddof=1))
    if len(found) < FEWEST or not interval:
        return Summary(len(found), mean, deviation)
    if alike:
        return Summary(len(found), mean, 0.0, mean, mean)
    from scipy.stats import bootstrap

    limits = bootstrap(
        (found,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Summary(len(found), mean, deviation, float(limits.low), float(limits.high))


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """The p-value of McNemar's exact test (1947): are two classifiers right equally often?

    Of the examples that just one of them has right, each has half of them if they are:
    ``p = P(|X - n/2| >= |b - n/2|)`` with X binomial over the n discordant ones; 1 where n is 0.

    Args:
        one, other: which of the same examples each has right, shape (E,).
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
    """The mean over seeds of the difference of two regimes.

    Attributes:
        mean: of the seeds.
        low, high: 95% interval.
        p: two-sided, of no difference.
    """

    mean: float
    low: float
    high: float
    p: float


def paired_bootstrap(observed: Values, resampled: Values) -> Difference:
    """Whether two regimes differ, for other seeds and other examples alike.

    With differences ``d_s`` of S seeds, and ``D_sb`` of the same seeds in resample b of the
    examples, which all seeds share, the variance of the mean difference is

    ``v = Var_b(mean_s D_sb) + max(0, Var_s(d_s) - mean_b Var_s(D_sb - d_s)) / S``:

    what other examples change, and what other seeds change beyond it (the last term takes out of
    the seeds' variance what it has from the examples). Resampling seeds and examples together
    counts that part three times (Owen 2007). The interval is ``mean +- t_f sqrt(v)``, where f
    follows Satterthwaite (1946): ``f = v^2 / ((Var_s(d_s) / S)^2 / (S - 1))``. One seed has
    the first term alone and a normal distribution, and says nothing of other seeds.

    Args:
        observed: d, shape (S,).
        resampled: D, shape (S, B).

    Returns:
        The p-value is no smaller than 1 / (B + 1), which is as far as B resamples can see.
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
    """Holm's adjusted p-values (1979) of a family of tests, in the order given.

    The k-th smallest of m is multiplied by ``m - k + 1``, and is no smaller than the one before.
    """
    found, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        found[place] = highest
    return found
