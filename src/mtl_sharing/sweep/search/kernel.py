"""Covariance of trainings: of neighbouring regimes, and of those with the same seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process.kernels import Kernel

Values = NDArray[np.float64]
DEPTH, SETTING, CATEGORY = "depth", "setting", "category"
"""Kinds of features: shares of the layers, other ordered values, and names."""
UNSET = -1.0
"""Where a feature, or a seed, does not apply. All others are 0 or more."""


class RegimeKernel(Kernel):  # type: ignore[misc]
    """Product over the features of two regimes; 1 for equal regimes.

    Depths give ``exp(-d^2 / (2 length^2))`` with the Euclidean distance d of all of them. A
    setting gives ``common + (1 - common) exp(-2 d^2)``, a category 1 where it is equal and
    ``common`` elsewhere, either the root of ``common`` where one of the two regimes does not have
    it. So regimes of different kinds have a common part.

    Args:
        kinds: the kind of each feature; a last column, the seed, is not read.
        length: distance, in shares of the encoder's layers, over which performance changes.
        common: correlation of regimes that differ in one category.
    """

    def __init__(self, kinds: Sequence[str], length: float, common: float) -> None:
        self.kinds, self.length, self.common = kinds, length, common

    def __call__(self, X: Values, Y: Values | None = None, eval_gradient: bool = False) -> Values:
        """The matrix of the kernel, shape (rows of X, rows of Y)."""
        other = X if Y is None else Y
        squared: Any = np.zeros((len(X), len(other)))
        result = np.ones_like(squared)
        for column, kind in enumerate(self.kinds):
            one, two = X[:, column, None], other[None, :, column]
            if kind == DEPTH:
                squared += (one - two) ** 2
                continue
            own = one == two if kind == CATEGORY else np.exp(-2 * (one - two) ** 2)
            alone = (one == UNSET) != (two == UNSET)
            result *= np.where(alone, self.common**0.5, self.common + (1 - self.common) * own)
        return np.asarray(result * np.exp(-squared / (2 * self.length**2)))

    def diag(self, X: Values) -> Values:
        """The kernel of each row with itself."""
        return np.ones(len(X))

    def is_stationary(self) -> bool:
        """Whether the kernel depends on differences alone."""
        return False


class HeldOutKernel(Kernel):  # type: ignore[misc]
    """1 for trainings of the same regime, whatever their seeds; 0 for a regime over all seeds.

    What the choice of held-out examples gives a regime is in each of its trainings, and not in
    what it would reach on all examples.
    """

    def __init__(self) -> None:
        pass

    def __call__(self, X: Values, Y: Values | None = None, eval_gradient: bool = False) -> Values:
        """The matrix of the kernel, shape (rows of X, rows of Y)."""
        other = X if Y is None else Y
        same = (X[:, None, :-1] == other[None, :, :-1]).all(axis=-1)
        return np.asarray(same * np.outer(_is_training(X), _is_training(other)))

    def diag(self, X: Values) -> Values:
        """The kernel of each row with itself."""
        return _is_training(X)

    def is_stationary(self) -> bool:
        """Whether the kernel depends on differences alone."""
        return False


class SeedKernel(Kernel):  # type: ignore[misc]
    """1 for trainings with the same seed, whose number is the last column; otherwise 0."""

    def __init__(self) -> None:
        pass

    def __call__(self, X: Values, Y: Values | None = None, eval_gradient: bool = False) -> Values:
        """The matrix of the kernel, shape (rows of X, rows of Y)."""
        one, two = X[:, -1, None], (X if Y is None else Y)[None, :, -1]
        return np.asarray((one == two) & (one != UNSET), dtype=np.float64)

    def diag(self, X: Values) -> Values:
        """The kernel of each row with itself."""
        return _is_training(X)

    def is_stationary(self) -> bool:
        """Whether the kernel depends on differences alone."""
        return True


def _is_training(rows: Values) -> Values:
    """1 for a row with a seed, 0 for a regime over all seeds."""
    return (rows[:, -1] != UNSET).astype(np.float64)
