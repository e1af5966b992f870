"""The training loop: updates, evaluations, best weights, checkpoints, stopping and going on."""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.errors import Stopped, UserError
from mtl_sharing.evaluation.evaluate import Evaluation, TaskMeasure, evaluate
from mtl_sharing.model.network import Network
from mtl_sharing.run_folder.layout import WEIGHTS
from mtl_sharing.run_folder.metrics import MAIN, write_metrics
from mtl_sharing.training.checkpoint import load_state, save_state
from mtl_sharing.training.learner import Learner
from mtl_sharing.training.phases import Phase, Timing
from mtl_sharing.training.running_metrics import RunningMetrics, evaluation_row
from mtl_sharing.utils.device import Runtime
from mtl_sharing.utils.files import replace_file
from mtl_sharing.utils.progress import TrainingProgress

log = logging.getLogger(__name__)

# Start-up (allocator, kernel choice) would blur the rate.
_UNTIMED_STEPS = 10


@dataclass
class Trainer:
    """Trains a network, phase by phase, and keeps what stopping and going on need in its folder.

    Attributes:
        network: predicts every task; what a phase trains is part of it.
        eval_data: the examples of the evaluations while training, which decide patience and best
            weights.
        split: its name, ``dev`` or ``select``.
        on_row: called with each row of metrics.csv once the checkpoint holds it.
        on_evaluation: called after each evaluation with the share of the training that is done
            and its figures.
        step: updates of this phase that are done.
        past: updates of the phases before it, which may have ended before their last.
        stale: evaluations of this phase since the best.
        learner: of this phase.
    """

    network: Network
    phases: Sequence[Phase]
    eval_data: Mapping[str, EncodedTask]
    measures: Mapping[str, TaskMeasure]
    runtime: Runtime
    folder: Path
    split: str = "dev"
    on_row: Callable[[Mapping[str, Any]], None] | None = None
    on_evaluation: Callable[[float, Evaluation], None] | None = None
    step: int = 0
    past: int = 0
    best: float = -math.inf
    stale: int = 0
    timing: Timing = field(default_factory=Timing)
    history: list[dict[str, Any]] = field(default_factory=list)
    learner: Learner = field(init=False)
    _number: int = field(default=0, init=False)
    _running: RunningMetrics = field(default_factory=RunningMetrics, init=False)
    _stop: int | None = field(default=None, init=False)
    _stopped_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.learner = self.phase.make_learner()

    @property
    def phase(self) -> Phase:
        """The phase that the training is in."""
        return self.phases[self._number]

    @property
    def total(self) -> int:
        """Updates of all phases: those done in phases that are over, and all of the others'."""
        return self.past + sum(phase.total for phase in self.phases[self._number :])

    @property
    def done(self) -> int:
        """Updates of all phases up to here."""
        return self.past + self.step

    def run(self) -> None:
        """Trains to the end and leaves the best weights in the network.

        A signal that asks for the job to be queued again (SIGUSR2, where a launcher listens to
        it) is handed on to who listened before, once the state is saved.

        Raises:
            Stopped: on SIGINT or SIGTERM, once the state is saved.
            UserError: a loss that is no number.
            OSError: the folder takes no more.
        """
        # Only the main thread may handle signals.
        mine = _signals() if threading.current_thread() is threading.main_thread() else ()
        old = {number: signal.signal(number, self._on_signal) for number in mine}
        try:
            with TrainingProgress(self.total, self.done) as progress:
                self._announce()
                self._train(progress)
                while self._number + 1 < len(self.phases):
                    self._next_phase()
                    self._train(progress)
        except Stopped:
            # What it starts (a queue that ends this process) may send the others.
            _restore(old)
            requeue = old.get(REQUEUE) if self._stop == REQUEUE else None
            if callable(requeue):
                requeue(REQUEUE, None)
            raise
        finally:
            _restore(old)
        self._take_best()

    def _next_phase(self) -> None:
        self.learner.close()
        if self.best > -math.inf:
            self._take_best()
        del self.learner  # its moments make room for the next
        self.past += self.step
        self._enter(self._number + 1)
        self._announce()

    def _announce(self) -> None:
        if len(self.phases) > 1:
            log.info("phase %s: %d steps", self.phase.name, self.phase.total)

    def _enter(self, number: int) -> None:
        self._number, self.step, self.stale, self._running = number, 0, 0, RunningMetrics()
        self.learner = self.phase.make_learner()

    def _take_best(self) -> None:
        self.network.load_state_dict(load_file(self.folder / WEIGHTS))

    def _train(self, progress: TrainingProgress) -> None:
        """To the end of this phase."""
        first = self.step
        while self.step < self.phase.total and not self._finished():
            began = time.perf_counter()
            update = self.learner.update(self.step, self.phase.total)
            seconds = time.perf_counter() - began
            self.step += 1
            warm = self.step - first > _UNTIMED_STEPS
            self.timing.add(self.phase.name, seconds, update.examples, warm)
            self._running.add(update)
            rate = update.examples / seconds
            progress.advance(self.done, self.total, self._running.losses, rate)
            if self.step % self.phase.eval_every == 0 or self.step == self.phase.total:
                self._evaluate_and_save()
            if self._stop is not None:
                self.save()
                raise Stopped(str(self.folder))
        if self.phase.evaluated and self.best == -math.inf:
            self._evaluate_and_save()
        if self.step < self.phase.total:
            words = "%s ends after %d of %d steps: no better for %d evaluations"
            log.info(words, self.phase.name, self.step, self.phase.total, self.stale)

    def _finished(self) -> bool:
        return self.phase.patience is not None and self.stale >= self.phase.patience

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # A person means a second Ctrl-C; a scheduler may send several of the others, and what
        # started this process may hand on the terminal's own.
        if self._stop is None:
            self._stopped_at = time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._stopped_at > _ONE_PRESS_S:
            raise KeyboardInterrupt
        self._stop = number if number == REQUEUE else self._stop or number
        log.info("stopping after this step; Ctrl-C to stop at once")

    def _evaluate_and_save(self) -> None:
        """Evaluates where the phase is judged, and saves the state."""
        found = None
        if self.phase.evaluated:
            found = evaluate(self.network, self.eval_data, self.measures, self.runtime, self.split)
            better = found.performance > self.best
            self.stale = 0 if better else self.stale + 1
            if better:
                self.best = found.performance
                save_weights(self.folder, self.network)
        self._record(found)
        self.save()
        if self.on_row is not None:
            self.on_row(self.history[-1])
        if found is not None and self.on_evaluation is not None:
            self.on_evaluation(self.done / self.total, found)

    def _record(self, found: Evaluation | None) -> None:
        prefix = "" if self.phase.name == MAIN else f"{self.phase.name}."
        row: dict[str, Any] = {"step": self.done, "train_s": self.timing.train_s}
        row |= {"phase": self.phase.name} if len(self.phases) > 1 else {}
        row |= {} if found is None else evaluation_row(found)
        self.history.append(row | self._running.row(prefix))
        write_metrics(self.folder, self.history)
        log.info("step %d of %d  %s", self.done, self.total, self._running.words(found))

    def save(self) -> None:
        """Replaces the run's checkpoint."""
        state = {
            "phase": self._number,
            "step": self.step,
            "past": self.past,
            "best": self.best,
            "stale": self.stale,
            "timing": vars(self.timing),
            "history": self.history,
            "running": vars(self._running),
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
        random = torch.get_rng_state()
        try:
            if state["phase"] != self._number:
                self.learner.close()
                self._enter(state["phase"])
            self.learner.restore(state["learner"])
            self.past = state["past"]
        except (IndexError, KeyError, RuntimeError, ValueError) as error:
            found = str(error).partition("\n")[0]
            raise UserError(str(self.folder), found, "the checkpoint of this run") from None
        torch.set_rng_state(random)
        self.step, self.best, self.stale = state["step"], state["best"], state["stale"]
        self.timing, self.history = Timing(**state["timing"]), state["history"]
        self._running = RunningMetrics(**state["running"])
        return True


# Two interrupts so close together are one.
_ONE_PRESS_S = 1.0
# What submitit listens to: SLURM sends it some time before a job's time limit.
REQUEUE = signal.SIGUSR2


def _signals() -> tuple[signal.Signals, ...]:
    """Those that stop a training; the last only where somebody knows what to do then."""
    stops = signal.SIGINT, signal.SIGTERM
    return (*stops, REQUEUE) if callable(signal.getsignal(REQUEUE)) else stops


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def save_weights(folder: Path, network: nn.Module) -> None:
    """Replaces the run's best weights at once."""
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    replace_file(folder / WEIGHTS, lambda path: save_file(state, path))
