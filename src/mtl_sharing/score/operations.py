"""Counts of floating-point operations, of a regime and of its baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OperationCounts:
    """Floating-point operations, counted as in :mod:`mtl_sharing.score.flops`.

    Attributes:
        train_by_task: of a training step for one example, for each task that trains; the mean over
            the task's training set.
        train_per_example: the mean of these, weighted by the tasks' batch sizes.
        predict_all: of all tasks' predictions on the text behind ``time.predict_all_s``.
        predict_per_text: the mean of ``predict_all`` over its texts; a pair has two.
    """

    train_by_task: Mapping[str, float]
    train_per_example: float
    predict_all: int
    predict_per_text: float

    def record(self) -> dict[str, Any]:
        """The ``flops`` node of result.json."""
        return {
            "train_per_example": self.train_per_example,
            "train_by_task": dict(self.train_by_task),
            "predict_all": self.predict_all,
            "predict_per_text": self.predict_per_text,
        }


@dataclass(frozen=True)
class OperationComparison:
    """The operations of the regime and of its baseline for the same text."""

    regime: OperationCounts
    baseline: OperationCounts

    def ratio(self, time_of: str) -> float:
        """The ratio of baseline to regime, for ``train`` or ``predict``."""
        if time_of == "train":
            return self.baseline.train_per_example / self.regime.train_per_example
        return self.baseline.predict_all / self.regime.predict_all
