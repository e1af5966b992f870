"""The training loop: updates, evaluations, best weights, checkpoints, stopping and resuming."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.errors import Stopped, UserError, first_line, one_of
from mtl_sharing.evaluation.evaluate import Evaluation, TaskMeasure, evaluate
from mtl_sharing.model.network import Network
from mtl_sharing.run_folder.layout import METRICS, WEIGHTS
from mtl_sharing.run_folder.manifest import replace_listed, text_writer
from mtl_sharing.run_folder.results import MAIN, Row, metrics_text
from mtl_sharing.training.checkpoint import (
    check_best,
    load_best,
    load_state,
    run_token,
    save_state,
    weights_writer,
)
from mtl_sharing.training.learner import Learner
from mtl_sharing.training.phases import Phase, RunningMetrics, Timing, evaluation_row
from mtl_sharing.training.selection import Selection
from mtl_sharing.training.signals import StopSignals
from mtl_sharing.training.warm_up import warm_up
from mtl_sharing.utils.device import Runtime
from mtl_sharing.utils.progress import Progress

log = logging.getLogger(__name__)

# The first steps after a start are slow (allocator, choice of kernels).
_UNTIMED_STEPS = 10


@dataclass
class Trainer:
    """Trains a network, phase by phase, and keeps its checkpoint and best weights in its folder.

    Attributes:
        eval_data: examples of the evaluations while training, by which patience and the best
            weights are decided.
        split: name of ``eval_data``, ``dev`` or ``select``.
        on_row: called with each row of metrics.csv once the checkpoint holds it.
        on_evaluation: called after each evaluation with the finished share of the training and
            its metrics.
        step: finished updates of this phase.
        past: finished updates of the phases before it, which may have ended early.
        selections: for each component of the network its best evaluation so far.
        history: rows of metrics.csv.
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
    timing: Timing = field(default_factory=Timing)
    history: list[Row] = field(default_factory=list)
    learner: Learner = field(init=False)
    selections: list[Selection] = field(init=False)
    signals: StopSignals = field(default_factory=StopSignals, init=False)
    _phase_index: int = field(default=0, init=False)
    _run: str | None = field(init=False)
    _running: RunningMetrics = field(default_factory=RunningMetrics, init=False)

    def __post_init__(self) -> None:
        components = self.network.architecture.components()
        self.selections = [Selection(tasks) for tasks in components]
        self.learner = self.phase.make_learner()
        self._run = run_token(self.folder)

    @property
    def phase(self) -> Phase:
        """The current phase."""
        return self.phases[self._phase_index]

    @property
    def total(self) -> int:
        """Updates of all phases: the finished ones of earlier phases, and all of the others."""
        return self.past + sum(phase.total for phase in self.phases[self._phase_index :])

    @property
    def done(self) -> int:
        """Finished updates of all phases."""
        return self.past + self.step

    def run(self) -> None:
        """Trains to the end and leaves the best weights in the network.

        Raises:
            Stopped: on a signal (see :class:`StopSignals`), once the state is saved.
            UserError: a loss that is not finite.
            OSError: the folder cannot be written.
        """
        with self.signals, Progress(None, self.total, done=self.done) as progress:
            self._train(progress)
            while self._phase_index + 1 < len(self.phases):
                self.next_phase()
                # With the weights that it begins with: the file of the best ones will change.
                self.save()
                self._train(progress)
            self._stop_if_asked()
        self._load_best()

    def next_phase(self) -> None:
        """Enters the next phase, with the best weights so far."""
        self.learner.close()
        if self._evaluated:
            self._load_best()
        del self.learner  # frees its optimizer's moments before the next are made
        self.past += self.step
        self._enter(self._phase_index + 1)

    def _enter(self, phase_index: int) -> None:
        self._phase_index, self.step = phase_index, 0
        for selection in self.selections:
            selection.stale = 0
        self._running = RunningMetrics()
        self.learner = self.phase.make_learner()

    def _load_best(self) -> None:
        self.network.load_state_dict(load_best(self.folder))

    def _train(self, progress: Progress) -> None:
        """Runs the rest of the current phase."""
        phase, start = self.phase, self.step
        if len(self.phases) > 1:
            log.info("phase %s: %d steps", phase.name, phase.total)
        warm_up(self.learner, phase.total, self.step)
        while self.step < phase.total and len(self._ended) < len(self.selections):
            self._update(progress, timed=self.step - start >= _UNTIMED_STEPS)
            if self.step % phase.eval_every == 0 or self.step == phase.total:
                self._evaluate_and_save()
            self._stop_if_asked()
        if phase.evaluated and not self._evaluated:  # no step
            self._evaluate_and_save()

    def _stop_if_asked(self) -> None:
        if self.signals.received is not None:
            self.save()
            raise Stopped(str(self.folder))

    @property
    def _evaluated(self) -> bool:
        """Whether there are best weights."""
        return all(selection.step is not None for selection in self.selections)

    @property
    def _ended(self) -> list[tuple[str, ...]]:
        """The tasks of the components that have not become better for as long as patience says."""
        patience = math.inf if self.phase.patience is None else self.phase.patience
        return [one.tasks for one in self.selections if one.stale >= patience]

    def _update(self, progress: Progress, timed: bool) -> None:
        ended, start = self._ended, time.perf_counter()
        update = self.learner.update(self.step, self.phase.total, ended)
        seconds = time.perf_counter() - start
        self.step += 1
        # A step without the components that have ended is no step of the regime.
        self.timing.add(self.phase.name, seconds, update.examples, timed and not ended)
        self._running.add(update)
        detail = f"{self._running.loss_text()}  {update.examples / seconds:.0f} examples/s"
        progress.advance(1, detail, self.total)

    def _evaluate_and_save(self) -> None:
        """Evaluates if the phase does, keeps better weights, and saves the state."""
        evaluation, better = None, []
        if self.phase.evaluated:
            evaluation = evaluate(
                self.network, self.eval_data, self.measures, self.runtime, self.split
            )
            better = self._select(evaluation)
        self._record(evaluation)
        self._write(better)
        self.save()
        if self.on_row is not None:
            self.on_row(self.history[-1])
        if evaluation is not None and self.on_evaluation is not None:
            self.on_evaluation(self.done / self.total, evaluation)

    def _select(self, evaluation: Evaluation) -> list[str]:
        """Notes which components are better than before; returns their tasks."""
        ended, values = self._ended, evaluation.unit_values
        training = [one for one in self.selections if one.tasks not in ended]
        better = [one for one in training if one.improves(values, self.done)]
        for own in self._ended:
            if own not in ended:
                tasks_text = "" if len(self.selections) == 1 else f": {one_of(own)}"
                message = "%s%s ends after %d of %d steps: no better for %d evaluations"
                log.info(message, self.phase.name, tasks_text, self.step, self.phase.total,
                         self.phase.patience)  # fmt: skip
        return [task for one in better for task in one.tasks]

    def _record(self, evaluation: Evaluation | None) -> None:
        """Adds a row to the history, and a line to the log."""
        prefix = "" if self.phase.name == MAIN else f"{self.phase.name}."
        row: Row = {"step": self.done, "train_s": self.timing.train_s}
        row |= {"phase": self.phase.name} if len(self.phases) > 1 else {}
        row |= {} if evaluation is None else evaluation_row(evaluation)
        self.history.append(row | self._running.row(prefix))
        log.info("step %d of %d  %s", self.done, self.total, self._running.summary(evaluation))

    def _write(self, better: Sequence[str]) -> None:
        """Replaces metrics.csv and the best weights of the tasks that are better."""
        writers = {METRICS: text_writer(metrics_text(self.history))}
        if better:
            tasks = None if len(better) == len(self.measures) else better
            writers[WEIGHTS] = weights_writer(self.folder, self.network, tasks)
        replace_listed(self.folder, writers, restorable=[METRICS])

    def save(self) -> None:
        """Replaces the run's checkpoint."""
        state = {
            "phase": self._phase_index,
            "step": self.step,
            "past": self.past,
            "selections": [vars(selection) for selection in self.selections],
            "timing": vars(self.timing),
            "history": self.history,
            "running": vars(self._running),
            "learner": self.learner.state(),
            "run": self._run,
        }
        save_state(self.folder, state)

    def restore(self) -> bool:
        """Restores the run in the folder; returns False if it has no checkpoint yet.

        Raises UserError for a damaged checkpoint or weights, or those of another network.
        """
        state = load_state(self.folder, self._run)
        if state is None:
            if (self.folder / METRICS).exists():
                log.warning("no checkpoint is left: the training begins again at its first step")
            return False
        try:
            if state["phase"] != self._phase_index:
                self.learner.close()
                self._enter(state["phase"])
            self.learner.restore(state["learner"])
            self.past = state["past"]
        except (IndexError, KeyError, RuntimeError, ValueError) as error:
            allowed = "the checkpoint of this run"
            raise UserError(str(self.folder), first_line(error), allowed) from None
        self.step, self.history = state["step"], state["history"]
        self.selections = [Selection(**one) for one in state["selections"]]
        self.timing = Timing(**state["timing"])
        self._running = RunningMetrics(**state["running"])
        if self._evaluated:
            check_best(self.folder)
        self._write([])  # metrics.csv may have been damaged or lost meanwhile
        return True
