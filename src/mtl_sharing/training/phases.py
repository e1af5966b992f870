"""The phases of a training, and the time that they take."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mtl_sharing.run_folder.metrics import MAIN
from mtl_sharing.training.learner import Learner


@dataclass(frozen=True)
class Phase:
    """A part of a training with its own optimizer and data.

    Attributes:
        name: ``main``, or a key of the config's ``phases``.
        make_learner: makes a new learner over the run's network in its current state.
        total: updates.
        eval_every: updates between evaluations.
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
        counted_s, counted_steps, counted_examples: of the main phase, without the first steps after
            each start.
    """

    phases_s: dict[str, float] = field(default_factory=dict)
    counted_s: float = 0.0
    counted_steps: int = 0
    counted_examples: int = 0

    def add(self, phase: str, seconds: float, examples: int, warm: bool) -> None:
        """Adds one step; ``warm`` if it is none of the first after a start."""
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
