"""The phases of a training, their metrics while they run, and the time that they take."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mtl_sharing.evaluation.evaluate import Evaluation
from mtl_sharing.run_folder.results import MAIN
from mtl_sharing.training.learner import Learner, Update

_SMOOTHING = 0.9


@dataclass
class RunningMetrics:
    """Metrics of the updates of a phase: smoothed losses, the last tie penalty, gradient cosines.

    Attributes:
        cosines: those of the updates since the last row.
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

        The tasks' names get the prefix of a phase with losses of its own.
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


@dataclass(frozen=True)
class Phase:
    """A part of a training with its own optimizer and data.

    Attributes:
        name: ``main``, or a key of the config's ``phases``.
        make_learner: makes a new learner over the run's network in its current state.
        total, eval_every: updates of the phase, and between evaluations.
        evaluated: whether the tasks are evaluated in it and the best weights kept.
        patience: evaluations without improvement before it ends; None for no limit.
    """

    name: str
    make_learner: Callable[[], Learner]
    total: int
    eval_every: int
    evaluated: bool = True
    patience: int | None = None


@dataclass
class Timing:
    """Wall time of training steps, without evaluations.

    Attributes:
        phases_s: seconds of all steps of each phase.
        counted_s, counted_steps, counted_examples: of the main phase while all components train,
            without the first steps after each start.
    """

    phases_s: dict[str, float] = field(default_factory=dict)
    counted_s: float = 0.0
    counted_steps: int = 0
    counted_examples: int = 0

    def add(self, phase: str, seconds: float, examples: int, warm: bool) -> None:
        """Adds one step; ``warm`` if it counts."""
        self.phases_s[phase] = self.phases_s.get(phase, 0.0) + seconds
        if warm and phase == MAIN:
            self.counted_s += seconds
            self.counted_steps += 1
            self.counted_examples += examples

    @property
    def train_s(self) -> float:
        """Seconds of all steps."""
        return sum(self.phases_s.values())

    @property
    def examples_per_s(self) -> float | None:
        """Examples of all tasks per second; None before any step was counted."""
        return self.counted_examples / self.counted_s if self.counted_s else None

    @property
    def step_s(self) -> float | None:
        """Seconds per step; None before any step was counted."""
        return self.counted_s / self.counted_steps if self.counted_steps else None
