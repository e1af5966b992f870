"""Predictions of a network over whole splits, their metrics, and predictions.parquet."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tokens.batches import EncodedTask, evaluation_batches
from mtl_sharing.errors import check_finite
from mtl_sharing.evaluation.metrics import floor, task_metrics, undefined_metrics
from mtl_sharing.model.network import Network
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.run_folder.layout import PREDICTIONS
from mtl_sharing.run_folder.manifest import replace_listed
from mtl_sharing.score.performance import floor_performance, unit
from mtl_sharing.utils.device import Runtime, autocast

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskMeasure:
    """Objective and metric of one task.

    Attributes:
        objective: its loss, and how raw outputs become predictions.
        kind: ``classes``, ``binary`` or ``regression``.
        metric: the metric that counts.
        classes: number of classes; 0 for regression.
    """

    objective: Objective
    kind: str
    metric: str
    classes: int


@dataclass(frozen=True, eq=False)
class Answers:
    """A network's predictions for a task's examples.

    Attributes:
        values: predictions in label units, float64, shape (E,).
        probability: probability of the predicted class, float64, shape (E,); None for regression.
        error: float64, shape (E,): one minus the probability of the true class, or the distance to
            the true value; NaN for an unknown label.
        probabilities: of each class, float32, shape (E, C); None for regression.
    """

    values: NDArray[np.float64]
    probability: NDArray[np.float64] | None
    error: NDArray[np.float64]
    probabilities: NDArray[np.float32] | None = None

    @classmethod
    def missing(cls, examples: int, classes: int) -> "Answers":
        """Predictions that are all NaN; a regression has no ``classes``."""
        values, probability, error = np.full((3, examples), np.nan)
        if not classes:
            return cls(values, None, error)
        probabilities = np.full((examples, classes), np.nan, dtype=np.float32)
        return cls(values, probability, error, probabilities)

    def fill(self, rows: NDArray[np.int64] | slice, part: "Answers") -> None:
        """Sets the predictions of some rows."""
        for name in ("values", "probability", "error", "probabilities"):
            if (column := getattr(self, name)) is not None:
                column[rows] = getattr(part, name)


@dataclass(frozen=True)
class Evaluation:
    """Metrics of all tasks.

    Attributes:
        tasks: each task's metric, its value and floor, number of examples, loss and other metrics,
            and why one of them is ``undefined``.
        split: ``dev`` or ``select``.
    """

    tasks: Mapping[str, dict[str, Any]]
    split: str = "dev"
    answers: Mapping[str, Answers] = field(default_factory=dict, compare=False, repr=False)

    @property
    def performance(self) -> float:
        """Mean of the tasks' metrics, correlations as (r + 1) / 2."""
        return float(np.mean(list(self.unit_values.values())))

    @property
    def unit_values(self) -> dict[str, float]:
        """Each task's metric, correlations as (r + 1) / 2."""
        return {name: unit(task["metric"], task["value"]) for name, task in self.tasks.items()}

    @property
    def performance_raw_r(self) -> float:
        """Mean of the tasks' metrics, correlations as they are."""
        return float(np.mean([task["value"] for task in self.tasks.values()]))

    def floor_performance(self, pearson: str) -> float:
        """The performance of a constant answer for each task, counted as ``score.pearson`` says."""
        floor = floor_performance(self.tasks, pearson)
        assert floor is not None  # every task here has its floor
        return floor

    def log_undefined(self) -> None:
        """Logs the metrics that have no value on this split, and what they count as.

        A task's own metric is a warning; the metrics beside it are no more than a line.
        """
        for name, task in self.tasks.items():
            place, others = f"{self.split} ({task['examples']:,} examples)", dict(task["undefined"])
            if (why := others.pop(task["metric"], None)) is not None:
                log.warning("%s: %s undefined on %s: %s", name, task["metric"], place, why)
            if others:
                beside = "; ".join(f"{metric} ({why})" for metric, why in others.items())
                log.info("%s: beside its metric undefined on %s: %s", name, place, beside)


def predict(
    network: Network, task: str, data: EncodedTask, measure: TaskMeasure, runtime: Runtime
) -> tuple[Answers, float]:
    """Predicts every example; returns the predictions and the mean loss."""
    network.eval()
    answers, loss = Answers.missing(len(data), measure.classes), 0.0
    # One autocast around all batches casts each weight once.
    with torch.inference_mode(), autocast(runtime.precision, runtime.device):
        for rows, batch in evaluation_batches(data, runtime.evaluation_batch, runtime.steady):
            moved = batch.to(runtime.device)
            raw = network({task: moved.text})[task]
            answers.fill(rows, answers_of(measure.objective, raw, data.labels[rows]))
            loss += float(measure.objective.loss(raw, moved.labels)) * len(rows)
    return answers, loss / len(data)


def raw_outputs(
    network: Network, task: str, data: EncodedTask, runtime: Runtime
) -> NDArray[np.float32]:
    """The network's raw outputs for every example without dropout, shape (E, K)."""
    network.eval()
    parts, order = [], []
    with torch.inference_mode(), autocast(runtime.precision, runtime.device):
        for rows, batch in evaluation_batches(data, runtime.evaluation_batch, runtime.steady):
            text = batch.text.to(runtime.device)
            parts.append(network({task: text})[task].float().cpu().numpy())
            order.append(rows)
    return np.concatenate(parts)[np.argsort(np.concatenate(order))]


def answers_of(objective: Objective, raw: Tensor, labels: NDArray[np.float64]) -> Answers:
    """Converts raw outputs, shape (E, K), to predictions; unknown labels, shape (E,), are NaN."""
    values = objective.predict(raw).double().cpu().numpy()
    probabilities = objective.probabilities(raw.float())
    if probabilities is None:
        return Answers(values, None, np.abs(values - labels))
    table, rows = probabilities.double().cpu().numpy(), np.arange(len(labels))
    labelled = ~np.isnan(labels)
    error = np.full(len(labels), np.nan)
    error[labelled] = 1 - table[rows[labelled], labels[labelled].astype(int)]
    probability = table[rows, values.astype(int)]
    return Answers(values, probability, error, table.astype(np.float32))


def evaluate(
    network: Network,
    splits: Mapping[str, EncodedTask],
    measures: Mapping[str, TaskMeasure],
    runtime: Runtime,
    split: str = "dev",
) -> Evaluation:
    """Evaluates every task on its part of a split; raises UserError for a loss not finite.

    The network is left in evaluation mode.
    """
    tasks, answers = {}, {}
    for name, data in splits.items():
        measure = measures[name]
        answers[name], loss = predict(network, name, data, measure, runtime)
        check_finite(f"loss of task {name}", loss, f"on {split}")
        predicted = answers[name].values
        metrics = task_metrics(measure.kind, predicted, data.labels, measure.classes)
        tasks[name] = {
            "metric": measure.metric,
            "value": metrics[measure.metric],
            "floor": floor(measure.metric, measure.kind, data.labels, measure.classes),
            "examples": len(data),
            "loss": loss,
            "undefined": undefined_metrics(measure.kind, predicted, data.labels),
            **metrics,
        }
    return Evaluation(tasks, split, answers)


def write_predictions(
    folder: Path, answers: Mapping[str, Answers], examples: Mapping[str, Sequence[Example]]
) -> None:
    """Replaces the run's predictions.parquet: a row for each example, task after task.

    Columns: task, id, text, text_pair (null for single texts), label and prediction (in label
    units), probability (of the predicted class; null for regression), error (see
    :class:`Answers`).
    """
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.concat_tables([_rows(task, answers[task], examples[task]) for task in answers])
    write = partial(parquet.write_table, table, compression="zstd")
    replace_listed(folder, {PREDICTIONS: write})


def _rows(task: str, answers: Answers, examples: Sequence[Example]) -> "pa.Table":
    import pyarrow as pa

    labels = [None if e.label is None else float(e.label) for e in examples]
    none = pa.nulls(len(examples), pa.float64())
    return pa.table(
        {
            "task": pa.array([task] * len(examples), pa.string()),
            "id": pa.array([e.id for e in examples], pa.string()),
            "text": pa.array([e.text for e in examples], pa.string()),
            "text_pair": pa.array([e.text_pair for e in examples], pa.string()),
            "label": pa.array(labels, pa.float64()),
            "prediction": pa.array(answers.values),
            "probability": none if answers.probability is None else pa.array(answers.probability),
            "error": pa.array(answers.error, mask=np.isnan(answers.error)),
        }
    )
