"""What the updates since the last evaluation showed, as figures of a row of metrics.csv."""

from dataclasses import dataclass, field
from typing import Any

from mtl_sharing.evaluation.evaluate import Evaluation
from mtl_sharing.training.learner import Update

_SMOOTHING = 0.9


@dataclass
class RunningMetrics:
    """Figures of the updates of a phase.

    Attributes:
        losses: each task's, smoothed over the updates.
        tie: the tie's penalty in the last update.
        cosines: of the updates since the last row.
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
        """The figures; the cosines, each the mean since the last call, begin anew.

        Args:
            prefix: of the tasks' names, where their losses are others than the main training's.
        """
        row = {f"train/{prefix}{name}/loss": loss for name, loss in self.losses.items()}
        row |= {} if self.tie is None else {"train/tie": self.tie}
        row |= {f"cosine/{name}": sum(v) / len(v) for name, v in self.cosines.items()}
        self.cosines = {}
        return row

    def words(self, found: Evaluation | None) -> str:
        """A line for the log: what an evaluation found, or without one the losses."""
        tie = "" if self.tie is None else f"  tie {self.tie:.3g}"
        if found is None:
            return "loss " + "  ".join(f"{t} {loss:.3f}" for t, loss in self.losses.items()) + tie
        values = "  ".join(f"{name} {task['value']:.3f}" for name, task in found.tasks.items())
        return f"{found.split} {values}{tie}  performance {found.performance:.4f}"


def evaluation_row(found: Evaluation) -> dict[str, Any]:
    """The figures of an evaluation; those of tasks under ``<split>/<task>/``."""
    row = {"performance": found.performance, "performance_raw_r": found.performance_raw_r}
    tasks = {f"{found.split}/{name}": task for name, task in found.tasks.items()}
    row |= {f"{place}/{task['metric']}": task["value"] for place, task in tasks.items()}
    return row | {f"{place}/loss": task["loss"] for place, task in tasks.items()}
