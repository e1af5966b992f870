"""The training loop: updates, evaluations, best weights, checkpoints, stopping and going on."""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from safetensors.torch import load_file, save_file

from mtl_sharing.data.batches import EncodedTask
from mtl_sharing.errors import Stopped, UserError
from mtl_sharing.run.checkpoint import load_state, save_state
from mtl_sharing.run.evaluate import Evaluation, evaluate
from mtl_sharing.run.files import replace_file
from mtl_sharing.run.learner import Learner, Update
from mtl_sharing.run.progress import TrainingProgress
from mtl_sharing.run.records import write_metrics

log = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
# Start-up (allocator, kernel choice) would blur the rate.
_UNTIMED_STEPS = 10
_SMOOTHING = 0.9


@dataclass
class Timing:
    """Wall time of training steps, evaluations left out.

    Attributes:
        train_s: of all steps.
        counted_s, counted_steps, counted_examples: without the first steps after each start.
    """

    train_s: float = 0.0
    counted_s: float = 0.0
    counted_steps: int = 0
    counted_examples: int = 0

    def add(self, seconds: float, examples: int, warm: bool) -> None:
        """Adds one step."""
        self.train_s += seconds
        if warm:
            self.counted_s += seconds
            self.counted_steps += 1
            self.counted_examples += examples

    @property
    def examples_per_s(self) -> float | None:
        """Examples of all tasks a second; None before any step was counted."""
        return self.counted_examples / self.counted_s if self.counted_s else None

    @property
    def step_s(self) -> float | None:
        """Seconds of a step."""
        return self.counted_s / self.counted_steps if self.counted_steps else None


@dataclass
class Trainer:
    """Trains a network and keeps everything needed to stop and go on in its folder.

    Attributes:
        dev: what the evaluations while training look at.
        total: updates of the whole training.
        on_evaluation: called after each evaluation with the step and its figures.
    """

    learner: Learner
    dev: Mapping[str, EncodedTask]
    folder: Path
    total: int
    eval_every: int
    patience: int | None = None
    on_evaluation: Callable[[int, Evaluation], None] | None = None
    step: int = 0
    best: float = -math.inf
    stale: int = 0
    timing: Timing = field(default_factory=Timing)
    history: list[dict[str, Any]] = field(default_factory=list)
    _losses: dict[str, float] = field(default_factory=dict, init=False)
    _tie: float | None = field(default=None, init=False)
    _cosines: dict[str, list[float]] = field(default_factory=dict, init=False)
    _stop: bool = field(default=False, init=False)

    def run(self) -> None:
        """Trains to the end and leaves the best weights in the network.

        Raises:
            Stopped: on SIGINT or SIGTERM, once the state is saved.
            UserError: a loss that is no number.
            OSError: the folder takes no more.
        """
        # Only the main thread may handle signals.
        mine = _SIGNALS if threading.current_thread() is threading.main_thread() else ()
        old = {number: signal.signal(number, self._on_signal) for number in mine}
        try:
            with TrainingProgress(self.total, self.step) as progress:
                self._loop(progress)
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
        self.learner.network.load_state_dict(load_file(self.folder / WEIGHTS))

    def _loop(self, progress: TrainingProgress) -> None:
        first = self.step
        while self.step < self.total and not self._finished():
            began = time.perf_counter()
            update = self.learner.update(self.step, self.total)
            seconds = time.perf_counter() - began
            self.step += 1
            self.timing.add(seconds, update.examples, self.step - first > _UNTIMED_STEPS)
            self._smooth(update)
            progress.advance(self.step, self._losses, update.examples / seconds)
            if self.step % self.eval_every == 0 or self.step == self.total:
                self._evaluate()
            if self._stop:
                self.save()
                raise Stopped(str(self.folder))
        if not self.history:
            self._evaluate()

    def _finished(self) -> bool:
        return self.patience is not None and self.stale >= self.patience

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True
        log.info("stopping after this step; once more to stop at once")

    def _smooth(self, update: Update) -> None:
        for task, loss in update.losses.items():
            old = self._losses.get(task, loss)
            self._losses[task] = _SMOOTHING * old + (1 - _SMOOTHING) * loss
        self._tie = update.tie
        for name, cosine in update.cosines.items():
            self._cosines.setdefault(name, []).append(cosine)

    def _evaluate(self) -> None:
        learner = self.learner
        found = evaluate(learner.network, self.dev, learner.measures, learner.runtime)
        better = found.performance > self.best
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best = found.performance
            save_weights(self.folder, learner)
        self._record(found)
        self.save()
        if self.on_evaluation is not None:
            self.on_evaluation(self.step, found)

    def _record(self, found: Evaluation) -> None:
        values = {
            f"dev/{name}/{task['metric']}": task["value"] for name, task in found.tasks.items()
        }
        dev = {f"dev/{name}/loss": task["loss"] for name, task in found.tasks.items()}
        train = {f"train/{name}/loss": loss for name, loss in self._losses.items()}
        figures = {"performance": found.performance, "performance_raw_r": found.performance_raw_r}
        row = {"step": self.step, "train_s": self.timing.train_s} | figures | values | dev | train
        row |= {} if self._tie is None else {"train/tie": self._tie}
        row |= {f"cosine/{name}": sum(v) / len(v) for name, v in self._cosines.items()}
        self._cosines = {}
        self.history.append(row)
        write_metrics(self.folder, self.history)
        words = "  ".join(f"{name} {task['value']:.3f}" for name, task in found.tasks.items())
        words += "" if self._tie is None else f"  tie {self._tie:.3g}"
        log.info(
            "step %d of %d  dev %s  performance %.4f",
            self.step,
            self.total,
            words,
            found.performance,
        )

    def save(self) -> None:
        """Replaces the run's checkpoint."""
        state = {
            "step": self.step,
            "best": self.best,
            "stale": self.stale,
            "timing": vars(self.timing),
            "history": self.history,
            "losses": self._losses,
            "cosines": self._cosines,
            "learner": self.learner.state(),
        }
        save_state(self.folder, state)

    def restore(self) -> bool:
        """Takes up the run in the folder; False where it has no checkpoint yet.

        Raises:
            UserError: the checkpoint is damaged or belongs to another network.
        """
        state = load_state(self.folder)
        if state is None:
            return False
        try:
            self.learner.restore(state["learner"])
        except (RuntimeError, ValueError) as error:
            found = str(error).partition("\n")[0]
            raise UserError(str(self.folder), found, "the checkpoint of this run") from None
        self.step, self.best, self.stale = state["step"], state["best"], state["stale"]
        self.timing = Timing(**state["timing"])
        self.history, self._losses = state["history"], state["losses"]
        self._cosines = state["cosines"]
        return True


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def save_weights(folder: Path, learner: Learner) -> None:
    """Replaces the run's best weights at once."""
    state = {name: value.contiguous() for name, value in learner.network.state_dict().items()}
    replace_file(folder / WEIGHTS, lambda path: save_file(state, path))
