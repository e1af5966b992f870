"""What runs answered on dev, brought together where the examples are the same."""

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

if TYPE_CHECKING:
    import pyarrow as pa

# Figures of equal predictions differ by rounding alone.
_SAME = 1e-6
_COLUMNS = ("task", "id", "text", "text_pair", "label", "prediction")


@dataclass(frozen=True, eq=False)
class TaskAnswers:
    """A run's answers to one task's examples.

    Attributes:
        examples: a digest of ids, texts and labels, equal where these are, in the same order.
        labels, predictions: shape (E,).
    """

    examples: bytes
    labels: Values
    predictions: Values


@dataclass
class RunPredictions:
    """The answers of many runs, read once, and their metrics in common resamples.

    Attributes:
        runs: all that may be compared; runs with the same examples share their resamples.
    """

    runs: tuple[Run, ...]
    _answers: dict[Run, dict[str, TaskAnswers]] = field(default_factory=dict)
    _resampled: dict[tuple[str, str, bytes], dict[Run, Values]] = field(default_factory=dict)

    @classmethod
    def of(cls, groups: Iterable[Group]) -> "RunPredictions":
        """Of one run of each seed of the groups."""
        return cls(tuple(run for group in groups for run in group.by_seed().values()))

    def answers(self, run: Run) -> dict[str, TaskAnswers]:
        """The answers by task; empty where they are missing or damaged."""
        if run not in self._answers:
            self._answers[run] = _read(run)
        return self._answers[run]

    def resampled(self, run: Run, task: str) -> Values:
        """The run's metric of a task in each resample, shape (B,)."""
        metric = run.result["tasks"][task]["metric"]
        examples = self.answers(run)[task].examples
        key = task, metric, examples
        if key not in self._resampled:
            alike = [
                r for r in dict.fromkeys((*self.runs, run))
                if r.result["tasks"].get(task, {}).get("metric") == metric
                and task in self.answers(r) and self.answers(r)[task].examples == examples
            ]  # fmt: skip
            each = [self.answers(r)[task] for r in alike]
            predictions = np.stack([answers.predictions for answers in each])
            classes = int(max(each[0].labels.max(), predictions.max())) + 1
            classes = max(classes, len(run.result["tasks"][task].get("by_class", ())))
            found = resampled_metrics(task, metric, each[0].labels, predictions, classes)
            self._resampled[key] = dict(zip(alike, found, strict=True))
        return self._resampled[key][run]


def _read(run: Run) -> dict[str, TaskAnswers]:
    import pyarrow.compute as pc

    table = run.predictions_table(_COLUMNS)
    if table is None:
        return {}
    found = {}
    for task in pc.unique(table["task"]).to_pylist():
        rows = table.filter(pc.equal(table["task"], task)).combine_chunks()
        labels, predictions = (rows[n].to_numpy().astype(float) for n in ("label", "prediction"))
        if not (np.isfinite(labels).all() and np.isfinite(predictions).all()):
            run.note(f"predictions.parquet: labels or predictions of {task} that are no numbers")
        elif not _gives_the_result(run, task, labels, predictions):
            run.note(f"predictions.parquet: of {task}, do not give the figure in result.json")
        else:
            found[task] = TaskAnswers(_digest(rows), labels, predictions)
    return found


def _gives_the_result(run: Run, task: str, labels: Values, predictions: Values) -> bool:
    """Whether the file belongs to its run and is whole, as far as quickly reckoned metrics tell."""
    known = run.result["tasks"].get(task)
    if known is None or known["metric"] not in ("accuracy", "pearson"):
        return True
    if known["metric"] == "accuracy":
        return abs(float(np.mean(predictions == labels)) - known["value"]) < _SAME
    return abs(correlation("pearson", predictions, labels) - known["value"]) < _SAME


def _digest(rows: "pa.Table") -> bytes:
    import pyarrow as pa
    import pyarrow.compute as pc

    digest = hashlib.blake2b(rows["label"].to_numpy().astype(np.float64).tobytes())
    for name in ("id", "text", "text_pair"):
        # No text has a zero byte in front of it, so that a missing one equals no other.
        column = pc.fill_null(rows[name].cast(pa.large_string()), "\0")
        lengths = pc.binary_length(column).to_numpy().astype(np.int64)
        digest.update(lengths.tobytes())
        digest.update("".join(column.to_pylist()).encode("utf-8", "surrogatepass"))
    return digest.digest()
