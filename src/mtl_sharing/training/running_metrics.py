"""Training losses, tie penalty and cosines for a row of metrics.csv."""

from dataclasses import dataclass, field
from typing import Any

from mtl_sharing.evaluation.evaluate import Evaluation
from mtl_sharing.training.learner import Update

_SMOOTHING = 0.9


@dataclass
class RunningMetrics:
    """Metrics of the updates of a phase.

    Attributes:
        losses: each task's loss, smoothed over the updates.
        tie: the tie penalty in the last update.
        cosines: gradient cosines of the updates since the last row.
    """

    losses: dict[str, float] = field(default_factory=dict)
    tie: float | None = None
    cosines: dict[str, list[float]] = field(default_factory=dict)

    def add(self, update: Update) -> None:
        """Adds one update."""
        for task, loss in update.losses.items():
            old = self.losses.get(task, loss)
            self.losses[task] = _SMOOTHING * old + (1 - _SMOOTHING) * loss
        self.tie = update.tie
        for name, cosine in update.cosines.items():
            self.cosines.setdefault(name, []).append(cosine)

    def row(self, prefix: str) -> dict[str, float]:
        """Returns the metrics, with each cosine's mean since the last call.

        Args:
            prefix: put before the tasks' names in phases with losses of their own.
        """
        row = {f"train/{prefix}{task}/loss": loss for task, loss in self.losses.items()}
        row |= {} if self.tie is None else {"train/tie": self.tie}
        row |= {f"cosine/{name}": sum(v) / len(v) for name, v in self.cosines.items()}
        self.cosines = {}
        return row

    def loss_text(self) -> str:
        """The losses as text."""
        return "loss " + "  ".join(f"{task} {loss:.3f}" for task, loss in self.losses.items())

    def summary(self, evaluation: Evaluation | None) -> str:
        """A log line with the metrics of an evaluation, or without one the losses."""
        tie = "" if self.tie is None else f"  tie {self.tie:.3g}"
        if evaluation is None:
            return self.loss_text() + tie
        values = "  ".join(f"{name} {t['value']:.3f}" for name, t in evaluation.tasks.items())
        return f"{evaluation.split} {values}{tie}  performance {evaluation.performance:.4f}"


def evaluation_row(evaluation: Evaluation) -> dict[str, Any]:
    """The metrics of an evaluation by column of metrics.csv, tasks under ``<split>/<task>/``."""
    row = {"performance": evaluation.performance, "performance_raw_r": evaluation.performance_raw_r}
    tasks = {f"{evaluation.split}/{name}": task for name, task in evaluation.tasks.items()}
    row |= {f"{prefix}/{task['metric']}": task["value"] for prefix, task in tasks.items()}
    return row | {f"{prefix}/loss": task["loss"] for prefix, task in tasks.items()}
