"""Metrics of many runs in the same bootstrap resamples of their examples."""

from collections.abc import Iterator
from zlib import crc32

import numpy as np

from mtl_sharing.report.analysis.statistics import RESAMPLES, Values

BLOCK = 4_000_000
"""Weights in one block of resamples: 32 MB."""


def resampled_metrics(
    task: str, metric: str, labels: Values, predictions: Values, classes: int
) -> Values:
    """The metric of each run in each resample, all with the same resamples, shape (R, B).

    A resample draws E examples with replacement. It is stored as the number of draws of each
    example, so the metrics of all runs are matrix products.

    Args:
        task: seeds the resamples, which are independent between tasks.
        metric: accuracy, f1 (macro), mcc, pearson or spearman, as in ``evaluation/metrics.py``.
        labels: shape (E,).
        predictions: in label units, shape (R, E).
        classes: number of classes; ignored for correlations.
    """
    blocks = []
    for weights in resample_weights(task, len(labels)):
        if metric == "accuracy":
            blocks.append((predictions == labels) @ weights.T / len(labels))
        elif metric == "pearson":
            blocks.append(_pearson(predictions, labels, weights))
        elif metric == "spearman":
            blocks.append(np.stack([_spearman(run, labels, weights) for run in predictions]))
        else:
            tables = (_confusion(run, labels, weights, classes) for run in predictions)
            of_table = _macro_f1 if metric == "f1" else _mcc
            blocks.append(np.stack([of_table(table) for table in tables]))
    return np.concatenate(blocks, axis=1)


def resample_weights(task: str, examples: int) -> Iterator[Values]:
    """The number of draws of each example, in blocks of resamples, shape (b, E)."""
    random = np.random.default_rng(crc32(task.encode()))
    size = max(1, BLOCK // examples)
    for begin in range(0, RESAMPLES, size):
        count = min(size, RESAMPLES - begin)
        drawn = random.integers(examples, size=(count, examples))
        drawn += np.arange(count)[:, None] * examples
        flat = np.bincount(drawn.ravel(), minlength=count * examples)
        yield flat.reshape(count, examples).astype(np.float64)


def _pearson(x: Values, y: Values, weights: Values) -> Values:
    """Correlation of runs (R, E) with labels (E,) in resamples (b, E), shape (R, b)."""
    total = weights.sum(axis=1)
    # Centred first: differences of large sums lose digits.
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean()
    mean_x, mean_y = x @ weights.T / total, weights @ y / total
    product = (x * y) @ weights.T / total - mean_x * mean_y
    return _ratio(product, x**2 @ weights.T / total - mean_x**2, weights @ y**2 / total - mean_y**2)


def _spearman(x: Values, y: Values, weights: Values) -> Values:
    """Rank correlation of one run (E,) with labels (E,) in resamples (b, E), shape (b,)."""
    total = weights.sum(axis=1)
    ranks = [_ranks(values, weights) for values in (x, y)]
    a, b = (rank - (weights * rank).sum(axis=1, keepdims=True) / total[:, None] for rank in ranks)
    product, *squares = ((weights * z).sum(axis=1) / total for z in (a * b, a**2, b**2))
    return _ratio(product, squares[0], squares[1])


def _ranks(values: Values, weights: Values) -> Values:
    """Mean ranks among a resample's examples, which may repeat, shape (b, E)."""
    distinct, index = np.unique(values, return_inverse=True)
    counts = weights @ (index[:, None] == np.arange(len(distinct))).astype(np.float64)
    return np.asarray((counts.cumsum(axis=1) - (counts - 1) / 2)[:, index])


def _ratio(product: Values, one: Values, other: Values) -> Values:
    """A correlation from its moments; 0 if one side is constant, where it is undefined."""
    square = one * other
    safe = np.where(square > 1e-24, square, 1.0)
    return np.where(square > 1e-24, product / np.sqrt(safe), 0.0)


def _confusion(run: Values, labels: Values, weights: Values, classes: int) -> Values:
    """Examples by label and prediction in each resample, shape (b, K, K)."""
    cells = labels.astype(int) * classes + run.astype(int)
    table = weights @ (cells[:, None] == np.arange(classes**2)).astype(np.float64)
    return table.reshape(-1, classes, classes)


def _macro_f1(tables: Values) -> Values:
    right = np.diagonal(tables, axis1=1, axis2=2)
    both = tables.sum(axis=1) + tables.sum(axis=2)
    return np.asarray((2 * right / np.maximum(both, 1)).mean(axis=1))


def _mcc(tables: Values) -> Values:
    """Matthews correlation coefficient for several classes (Gorodkin 2004)."""
    right, total = np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2))
    predicted, true = tables.sum(axis=1), tables.sum(axis=2)
    product = right * total - (predicted * true).sum(axis=1)
    return _ratio(product, total**2 - (predicted**2).sum(axis=1), total**2 - (true**2).sum(axis=1))
