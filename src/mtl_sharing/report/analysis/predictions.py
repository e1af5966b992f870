"""Dev predictions of many runs, matched by their examples."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mtl_sharing.evaluation.metrics import correlation
from mtl_sharing.report.analysis.resampling import resampled_metrics
from mtl_sharing.report.analysis.statistics import Values
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.run_folder.layout import PREDICTIONS

if TYPE_CHECKING:
    import pyarrow as pa

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

    Attributes:
        runs: all runs that may be compared; runs with the same examples share their resamples.
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
        labels, predictions = (rows[n].to_numpy().astype(float) for n in ("label", "prediction"))
        if not (np.isfinite(labels).all() and np.isfinite(predictions).all()):
            run.add_problem(f"{PREDICTIONS}: labels or predictions of {task} that are no numbers")
        elif not _gives_the_result(run, task, labels, predictions):
            run.add_problem(f"{PREDICTIONS}: of {task}, do not give the metric in result.json")
        else:
            by_task[task] = TaskPredictions(_digest(rows), labels, predictions)
    return by_task


def _gives_the_result(run: Run, task: str, labels: Values, predictions: Values) -> bool:
    """Whether the predictions give the run's metric, for metrics that are quick to compute."""
    result = run.result["tasks"].get(task)
    if result is None or result["metric"] not in ("accuracy", "pearson"):
        return True
    if result["metric"] == "accuracy":
        value = float(np.mean(predictions == labels))
    else:
        value = correlation("pearson", predictions, labels)
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
