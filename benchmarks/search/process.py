"""A plain Gaussian process with a fixed kernel: the least that a search should do better than."""

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.problems import Array, Draw
from benchmarks.search.strategies import Options, Verdict

_HEIGHT = 0.03
_EXPLORED = 0.2
_JITTER = 1e-9


@dataclass
class _Process:
    """Posterior over the performances of all splits; knows the deviation of the seeds."""

    draw: Draw
    random: np.random.Generator
    trained: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def train(self, index: int) -> None:
        """Trains a split with its next seed."""
        self.values.append(float(self.draw.performances[index, self.trained.count(index)]))
        self.trained.append(index)

    def next(self) -> int:
        """The split whose training promises most: uncertain, and near the decision."""
        size = len(self.draw.problem.splits)
        if len(self.trained) < 3:
            return (0, (size - 1) // 2, size - 1)[len(self.trained)]
        margins, variances = self._margins(256)
        passing = (margins >= 0).mean(axis=1)
        chosen = [_largest(margins[:, column] >= 0) for column in range(margins.shape[1])]
        doubt = passing * (1 - passing)
        share = np.bincount(chosen, minlength=size) / len(chosen)
        gain = (doubt + _EXPLORED * share) * variances
        gain[0] = variances[0] * doubt.max()  # every margin depends on the reference
        return int(np.argmax(gain))

    def answer(self) -> tuple[int, float]:
        """The largest split that rather keeps enough than not, and the probability that it does."""
        passing = (self._margins(512)[0] >= 0).mean(axis=1)
        chosen = _largest(passing >= 0.5)
        return chosen, float(passing[chosen])

    def _margins(self, samples: int) -> tuple[Array, Array]:
        """Samples of what each split has above what is enough, and each split's variance."""
        mean, covariance = self._posterior()
        root = np.linalg.cholesky(covariance + _JITTER * np.eye(len(mean)))
        curves = mean[:, None] + root @ self.random.normal(size=(len(mean), samples))
        return curves - self.draw.problem.keep * curves[0], np.diag(covariance)

    def _posterior(self) -> tuple[Array, Array]:
        everywhere = np.arange(len(self.draw.problem.splits), dtype=float)
        at, values = everywhere[self.trained], np.array(self.values)
        length = (len(everywhere) - 1) / 3
        gram = _kernel(at, at, length) + self.draw.deviation**2 * np.eye(len(at))
        weights = np.linalg.solve(gram, _kernel(at, everywhere, length)).T
        mean = values.mean() + weights @ (values - values.mean())
        prior = _kernel(everywhere, everywhere, length)
        return mean, prior - weights @ _kernel(at, everywhere, length)


def _kernel(left: Array, right: Array, length: float) -> Array:
    return _HEIGHT**2 * np.exp(-0.5 * ((left[:, None] - right[None]) / length) ** 2)


def _largest(passing: NDArray[np.bool_]) -> int:
    """The last split that passes; 0 where none does."""
    return int(np.flatnonzero(passing).max(initial=0))


def process(draw: Draw, options: Options) -> dict[str, Verdict]:
    """Trains where the process is least certain of the decision; answers at each budget."""
    model = _Process(draw, np.random.default_rng([draw.seed, 1]))
    verdicts, asking_s = {}, 0.0
    for trainings in range(1, max(options.budgets) + 1):
        began = time.perf_counter()
        index = model.next()
        asking_s += time.perf_counter() - began
        model.train(index)
        if trainings in options.budgets:
            chosen, probability = model.answer()
            decided = probability >= options.confidence
            label = f"process, {trainings}"
            verdicts[label] = Verdict(chosen, trainings, decided, trainings, asking_s)
    return verdicts
