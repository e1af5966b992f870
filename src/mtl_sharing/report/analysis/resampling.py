"""A metric of many runs' predictions in the same bootstrap resamples of their examples."""

from collections.abc import Iterator
from zlib import crc32

import numpy as np

from mtl_sharing.report.analysis.statistics import RESAMPLES, Values

# Weights of a block of resamples: so many at once, 32 MB.
_BLOCK = 4_000_000


def resampled_metrics(
    task: str, metric: str, labels: Values, predictions: Values, classes: int
) -> Values:
    """The metric of each run in each resample, all with the same resamples, shape (R, B).

    A resample draws as many examples as there are, with replacement; it is held as how often
    each was drawn, so that the metrics of all runs are matrix products.

    Args:
        task: names the resamples, which are independent between tasks.
        metric: accuracy, f1 (macro), mcc, pearson or spearman, as in ``run/metrics.py``.
        labels: shape (E,).
        predictions: in label units, shape (R, E).
        classes: number of classes; ignored for correlations.
    """
    blocks = []
    for weights in _weights(task, len(labels)):
        if metric == "accuracy":
            blocks.append((predictions == labels) @ weights.T / len(labels))
        elif metric == "pearson":
            blocks.append(_pearson(predictions, labels, weights))
        elif metric == "spearman":
            blocks.append(np.stack([_spearman(run, labels, weights) for run in predictions]))
        else:
            tables = (_confusion(run, labels, weights, classes) for run in predictions)
            figure = _macro_f1 if metric == "f1" else _mcc
            blocks.append(np.stack([figure(table) for table in tables]))
    return np.concatenate(blocks, axis=1)


def _weights(task: str, examples: int) -> Iterator[Values]:
    """How often each example was drawn, in blocks of resamples, shape (b, E)."""
    random = np.random.default_rng(crc32(task.encode()))
    size = max(1, _BLOCK // examples)
    for begin in range(0, RESAMPLES, size):
        count = min(size, RESAMPLES - begin)
        drawn = random.integers(examples, size=(count, examples))
        drawn += np.arange(count)[:, None] * examples
        flat = np.bincount(drawn.ravel(), minlength=count * examples)
        yield flat.reshape(count, examples).astype(np.float64)


def _pearson(x: Values, y: Values, weights: Values) -> Values:
    """Of runs (R, E) with labels (E,), in resamples (b, E); shape (R, b)."""
    total = weights.sum(axis=1)
    # Centred first, since differences of large sums lose digits.
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean()
    mean_x, mean_y = x @ weights.T / total, weights @ y / total
    product = (x * y) @ weights.T / total - mean_x * mean_y
    return _ratio(product, x**2 @ weights.T / total - mean_x**2, weights @ y**2 / total - mean_y**2)


def _spearman(x: Values, y: Values, weights: Values) -> Values:
    """Of one run (E,), in resamples (b, E): Pearson's of the ranks in each; shape (b,)."""
    total = weights.sum(axis=1)
    ranks = [_ranks(values, weights) for values in (x, y)]
    a, b = (rank - (weights * rank).sum(axis=1, keepdims=True) / total[:, None] for rank in ranks)
    product, *squares = ((weights * z).sum(axis=1) / total for z in (a * b, a**2, b**2))
    return _ratio(product, squares[0], squares[1])


def _ranks(values: Values, weights: Values) -> Values:
    """Mean ranks among a resample's examples, of which each may be there several times."""
    names, place = np.unique(values, return_inverse=True)
    counts = weights @ (place[:, None] == np.arange(len(names))).astype(np.float64)
    found: Values = (counts.cumsum(axis=1) - (counts - 1) / 2)[:, place]
    return found


def _ratio(product: Values, one: Values, other: Values) -> Values:
    """A correlation of its moments; 0 where one side is constant, which has none."""
    square = one * other
    safe = np.where(square > 1e-24, square, 1.0)
    found: Values = np.where(square > 1e-24, product / np.sqrt(safe), 0.0)
    return found


def _confusion(run: Values, labels: Values, weights: Values, classes: int) -> Values:
    """Examples by label and prediction in each resample, shape (b, K, K)."""
    cells = labels.astype(int) * classes + run.astype(int)
    table = weights @ (cells[:, None] == np.arange(classes**2)).astype(np.float64)
    return table.reshape(-1, classes, classes)


def _macro_f1(tables: Values) -> Values:
    right = np.diagonal(tables, axis1=1, axis2=2)
    both = tables.sum(axis=1) + tables.sum(axis=2)
    found: Values = (2 * right / np.maximum(both, 1)).mean(axis=1)
    return found


def _mcc(tables: Values) -> Values:
    """Matthews' correlation of several classes (Gorodkin 2004)."""
    right, total = np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2))
    guessed, true = tables.sum(axis=1), tables.sum(axis=2)
    product = right * total - (guessed * true).sum(axis=1)
    return _ratio(product, total**2 - (guessed**2).sum(axis=1), total**2 - (true**2).sum(axis=1))
