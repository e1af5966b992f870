"""Dev predictions of many runs, matched by their examples, and metrics in bootstrap resamples."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from mtl_sharing.evaluation.metrics import correlation
from mtl_sharing.report.analysis.statistics import RESAMPLES, Values
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.run_folder.layout import PREDICTIONS

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 4_000_000
"""Weights in one block of resamples: 32 MB."""
# Metrics of equal predictions differ by rounding alone.
_TOLERANCE = 1e-6
_COLUMNS = ("task", "id", "text", "text_pair", "label", "prediction")


@dataclass(frozen=True, eq=False)
class TaskPredictions:
    """A run's predictions for one task.

    Attributes:
        examples: digest of ids, texts and labels in their order; equal for equal examples.
        labels, predictions: shape (E,).
    """

    examples: bytes
    labels: Values
    predictions: Values


@dataclass
class RunPredictions:
    """The predictions of many runs, each read once, and their metrics in common resamples.

    Runs with the same examples share their resamples.
    """

    runs: tuple[Run, ...]
    _by_run: dict[Run, dict[str, TaskPredictions]] = field(default_factory=dict)
    _resampled: dict[tuple[str, str, bytes], dict[Run, Values]] = field(default_factory=dict)

    @classmethod
    def of(cls, groups: Iterable[Group]) -> "RunPredictions":
        """The predictions of one run of each seed of the groups."""
        return cls(tuple(run for group in groups for run in group.by_seed().values()))

    def by_task(self, run: Run) -> dict[str, TaskPredictions]:
        """A run's predictions by task; empty if they are missing or damaged."""
        if run not in self._by_run:
            self._by_run[run] = _read(run)
        return self._by_run[run]

    def resampled(self, run: Run, task: str) -> Values:
        """The run's metric of a task in each resample, shape (B,)."""
        metric = run.result["tasks"][task]["metric"]
        examples = self.by_task(run)[task].examples
        key = task, metric, examples
        if key not in self._resampled:
            comparable = [
                r for r in dict.fromkeys((*self.runs, run))
                if r.result["tasks"].get(task, {}).get("metric") == metric
                and task in self.by_task(r) and self.by_task(r)[task].examples == examples
            ]  # fmt: skip
            labels = self.by_task(run)[task].labels
            predictions = np.stack([self.by_task(r)[task].predictions for r in comparable])
            classes = int(max(labels.max(), predictions.max())) + 1
            classes = max(classes, len(run.result["tasks"][task].get("by_class", ())))
            metrics = resampled_metrics(task, metric, labels, predictions, classes)
            self._resampled[key] = dict(zip(comparable, metrics, strict=True))
        return self._resampled[key][run]


def _read(run: Run) -> dict[str, TaskPredictions]:
    import pyarrow.compute as pc

    table = run.predictions_table(_COLUMNS)
    if table is None:
        return {}
    by_task = {}
    for task in pc.unique(table["task"]).to_pylist():
        rows = table.filter(pc.equal(table["task"], task)).combine_chunks()
        try:
            labels, predictions = (
                rows[n].to_numpy().astype(float) for n in ("label", "prediction")
            )
        except (TypeError, ValueError):
            labels = predictions = np.array([np.nan])
        if not (np.isfinite(labels).all() and np.isfinite(predictions).all()):
            run.add_problem(f"{PREDICTIONS}: labels or predictions of {task} that are no numbers")
        elif not _gives_the_result(run, task, labels, predictions):
            run.add_problem(f"{PREDICTIONS}: of {task}, do not give the metric in result.json")
        else:
            by_task[task] = TaskPredictions(_digest(rows), labels, predictions)
    return by_task


def _numbers(column: "pa.Array") -> Values:
    """A column as float64; NaN for one that has no numbers."""
    try:
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    except (TypeError, ValueError):
        return np.full(len(column), np.nan)


def _gives_the_result(run: Run, task: str, labels: Values, predictions: Values) -> bool:
    """Whether the predictions give the run's metric, for metrics that are quick to compute."""
    result = run.result["tasks"].get(task)
    if result is None or result["metric"] not in ("accuracy", "pearson"):
        return True
    accuracy = result["metric"] == "accuracy"
    right = predictions == labels
    value = float(right.mean()) if accuracy else correlation("pearson", predictions, labels)
    return abs(value - float(result["value"])) < _TOLERANCE


def _digest(rows: "pa.Table") -> bytes:
    import pyarrow as pa
    import pyarrow.compute as pc

    digest = hashlib.blake2b(rows["label"].to_numpy().astype(np.float64).tobytes())
    for name in ("id", "text", "text_pair"):
        # NUL stands for a missing text, so it never equals a real one.
        column = pc.fill_null(rows[name].cast(pa.large_string()), "\0")
        lengths = pc.binary_length(column).to_numpy().astype(np.int64)
        digest.update(lengths.tobytes())
        digest.update("".join(column.to_pylist()).encode("utf-8", "surrogatepass"))
    return digest.digest()


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
    """The mean F1 of the classes that a resample's labels or predictions have."""
    right = np.diagonal(tables, axis1=1, axis2=2)
    both = tables.sum(axis=1) + tables.sum(axis=2)
    return np.asarray((2 * right / np.maximum(both, 1)).sum(axis=1) / (both > 0).sum(axis=1))


def _mcc(tables: Values) -> Values:
    """Matthews correlation coefficient for several classes (Gorodkin 2004)."""
    right, total = np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2))
    predicted, true = tables.sum(axis=1), tables.sum(axis=2)
    product = right * total - (predicted * true).sum(axis=1)
    return _ratio(product, total**2 - (predicted**2).sum(axis=1), total**2 - (true**2).sum(axis=1))
