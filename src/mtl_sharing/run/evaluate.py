"""Predictions of a network over whole splits, and what they are worth."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtl_sharing.data.batches import EncodedTask, evaluation_batches
from mtl_sharing.errors import UserError
from mtl_sharing.model.network import Network
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.run.metrics import floor, task_metrics, unit
from mtl_sharing.run.precision import autocast


@dataclass(frozen=True)
class TaskMeasure:
    """How one task is trained and judged.

    Attributes:
        objective: its loss and how raw outputs are read.
        kind: ``classes``, ``binary`` or ``regression``.
        metric: the figure that counts.
        classes: number of classes; 0 for regression.
    """

    objective: Objective
    kind: str
    metric: str
    classes: int


@dataclass(frozen=True)
class Evaluation:
    """Figures of all tasks: ``tasks[name]`` holds metric, value, floor, examples and the rest.

    Attributes:
        split: name of what they were taken on, ``dev`` or ``select``.
    """

    tasks: Mapping[str, dict[str, Any]]
    split: str = "dev"

    @property
    def performance(self) -> float:
        """Mean over tasks, correlations as (r + 1) / 2."""
        return float(np.mean([unit(t["metric"], t["value"]) for t in self.tasks.values()]))

    @property
    def performance_raw_r(self) -> float:
        """Mean over tasks, correlations as they are."""
        return float(np.mean([task["value"] for task in self.tasks.values()]))


@dataclass(frozen=True)
class Runtime:
    """Where and how forward passes run."""

    device: torch.device
    precision: str
    evaluation_batch: int


def check_finite(what: str, value: float, when: str) -> None:
    """Raises UserError where a loss or penalty has become NaN or infinite."""
    if not math.isfinite(value):
        allowed = "a finite number: try a lower optimizer.lr, optimizer.clip=1 or precision fp32"
        raise UserError(what, f"{value} {when}", allowed)


def predict(
    network: Network, task: str, data: EncodedTask, measure: TaskMeasure, runtime: Runtime
) -> tuple[NDArray[np.float64], float]:
    """Predictions in label units, shape (examples,), and the mean loss."""
    network.eval()
    predicted, loss = np.zeros(len(data)), 0.0
    # One autocast around all batches casts each weight once.
    with torch.inference_mode(), autocast(runtime.precision, runtime.device):
        for rows, batch in evaluation_batches(data, runtime.evaluation_batch):
            moved = batch.to(runtime.device)
            raw = network({task: moved.text})[task]
            predicted[rows] = measure.objective.predict(raw).double().cpu().numpy()
            loss += float(measure.objective.loss(raw, moved.labels)) * len(rows)
    return predicted, loss / len(data)


def evaluate(
    network: Network,
    splits: Mapping[str, EncodedTask],
    measures: Mapping[str, TaskMeasure],
    runtime: Runtime,
    split: str = "dev",
) -> Evaluation:
    """Evaluates every task on its part of a split. The network is left in evaluation mode.

    Args:
        splits: each task's examples.
        split: what these are called.
    """
    tasks = {}
    for name, data in splits.items():
        measure = measures[name]
        predicted, loss = predict(network, name, data, measure, runtime)
        check_finite(f"loss of task {name}", loss, f"on {split}")
        figures = task_metrics(measure.kind, predicted, data.labels, measure.classes)
        tasks[name] = {
            "metric": measure.metric,
            "value": figures[measure.metric],
            "floor": floor(measure.metric, measure.kind, data.labels, measure.classes),
            "examples": len(data),
            "loss": loss,
            **figures,
        }
    return Evaluation(tasks, split)
