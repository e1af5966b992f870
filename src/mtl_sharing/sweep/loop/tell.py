"""Reports how trials ended: to the study, compared with the reference, and on the console.

The console has a live line on a terminal, and a log line for each trial.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from optuna.trial import FrozenTrial, TrialState
from rich import get_console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mtl_sharing.errors import UserError, one_of
from mtl_sharing.run_folder.layout import CHECKPOINT
from mtl_sharing.score.objectives import Metrics, missing_metrics, objective_values
from mtl_sharing.sweep.loop.ask import RunningTrial
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study import attributes
from mtl_sharing.sweep.study.attributes import is_reference, trained
from mtl_sharing.sweep.study.records import (
    References,
    TrialResult,
    best_trials,
    trial_flags,
)
from mtl_sharing.sweep.study.study import SweepStudy
from mtl_sharing.utils.progress import set_training_caption

log = logging.getLogger(__name__)
_NAMES = {TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass
class SweepConsole:
    """Shows trials as they begin and end.

    Attributes:
        total: trials in all, where that is known.
        inline: trials run in this process and show their own bar.
    """

    total: int | None
    inline: bool
    _best: str = ""
    _counts: Counter[TrialState] = field(default_factory=Counter)
    _duplicates: int = 0
    _running: set[int] = field(default_factory=set)
    _bar: Progress | None = None

    def __enter__(self) -> "SweepConsole":
        if get_console().is_terminal and not self.inline:
            columns = (TextColumn("sweep"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TextColumn("{task.description}"), transient=True)
            self._task = self._bar.add_task("", total=self.total)
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        set_training_caption("training")
        if self._bar:
            self._bar.stop()

    def known(self, trials: Sequence[FrozenTrial]) -> None:
        """Counts the trials of earlier starts of the sweep."""
        self._counts.update(trial.state for trial in trials if trial.state.is_finished())
        self._show()

    def started(self, number: int) -> None:
        """Shows that a trial's job was started."""
        self._running.add(number)
        total = "" if self.total is None else f" of {self.total}"
        set_training_caption(f"trial {number}{total}  {self._summary()}")
        self._show()

    def ended(self, trial: FrozenTrial, references: References, better: bool) -> None:
        """Logs how a trial ended."""
        self._running.discard(trial.number)
        self._counts[trial.state] += 1
        if better:
            self._best = f"best {trial.user_attrs.get(attributes.REGIME)}"
        log.info("%s%s", _line(trial, references), "  best so far" if better else "")
        self._show()

    def duplicate(self, number: int, earlier: int) -> None:
        """Logs that a trial copies an earlier one's result."""
        log.info("trial %d  equals trial %d", number, earlier)
        self._duplicates += 1
        self._show()

    def _summary(self) -> str:
        parts = [] if self.inline else [f"{len(self._running)} running"]
        parts += [f"{self._counts[s]} {name}" for s, name in _NAMES.items() if self._counts[s]]
        return "  ".join([*parts, self._best])

    def _show(self) -> None:
        if self._bar:
            done = self._counts.total() + self._duplicates
            self._bar.update(self._task, completed=done, description=self._summary())


def _line(trial: FrozenTrial, references: References) -> str:
    """A trial in one line: regime, parameters, outcome, seconds."""
    regime = trial.user_attrs.get(attributes.REGIME, "?")
    regime += " (reference)" if is_reference(trial) else ""
    params = " ".join(
        f"{name.rpartition('.')[2]}={format(value, '.3g' if isinstance(value, float) else '')}"
        for name, value in trial.params.items()
    )
    seconds = trial.user_attrs.get(attributes.SECONDS)
    parts = [f"trial {trial.number}", regime, params, _outcome(trial, references)]
    return "  ".join(filter(None, [*parts, "" if seconds is None else f"{seconds:.0f} s"]))


def _outcome(trial: FrozenTrial, references: References) -> str:
    """How a trial ended; every metric is of the split that selects, which is named."""
    if trial.state != TrialState.COMPLETE:
        reason = trial.user_attrs.get(attributes.REASON)
        return _NAMES.get(trial.state, trial.state.name) + (f": {reason}" if reason else "")
    metrics = trial.user_attrs[attributes.METRICS]
    parts = [f"on {metrics['split']}:"] if "split" in metrics else []
    parts.append(f"performance {metrics['performance']:.4f}")
    if (floor := metrics.get("floor_performance")) is not None:
        parts.append(f"floor {floor:.4f}")
    if (kept := references.kept(metrics))["kept"] is not None:
        above = kept["kept_above_floor"]
        parts.append(f"kept {kept['kept']:.1%}")
        parts.append(f"kept above floor {'-' if above is None else f'{above:.1%}'}")
    if metrics.get("memory") is not None:
        parts.append(f"memory {metrics['memory']:.2f}")
    flag = trial_flags(metrics)
    return "  ".join([*parts, f"[{flag}]"] if flag else parts)


@dataclass
class StudyReporter:
    """Ends trials in the study.

    Attributes:
        given: performance of separate models on the split that selects (the part held out of
            train, or dev), where the config gives it.
        given_on_dev: the same on dev.
    """

    study: SweepStudy
    spec: SweepSpec
    console: SweepConsole
    given: float | None
    given_on_dev: float | None

    def reference(self) -> float | None:
        """Performance of separate models on the split that selects; None until it is known."""
        if self.given is not None or not self.spec.options.reference:
            return self.given
        return self._mean_of_references("performance")

    def reference_metrics(self) -> Metrics | None:
        """Metrics of the first trial of separate models; None until it has been trained."""
        return next(iter(self._of_references()), None)

    def _of_references(self) -> list[Metrics]:
        """The metrics of separate models; a search trains them with several seeds."""
        known = [
            t.user_attrs.get(attributes.METRICS) for t in self.study.trials() if is_reference(t)
        ]
        return [metrics for metrics in known if metrics is not None]

    def _mean_of_references(self, name: str) -> float | None:
        values = [float(metrics[name]) for metrics in self._of_references()]
        return fmean(values) if values else None

    def dev_reference(self) -> float | None:
        """Performance of separate models on dev, for reporting; None until it is known."""
        mean = self._mean_of_references("dev_performance")
        return self.given_on_dev if mean is None else mean

    def references(self) -> References:
        """Separate models' performance on both splits."""
        return References(self.reference(), self.dev_reference())

    def tell(self, trial: RunningTrial, result: TrialResult) -> bool:
        """Ends a trial; False where its value still needs the reference."""
        objectives, values = self.spec.objectives, None
        complete = result.state == TrialState.COMPLETE
        if complete and (missing := missing_metrics(objectives, result.metrics)):
            result = TrialResult(TrialState.FAIL, {}, f"not measured: {one_of(missing)}")
        if result.state == TrialState.COMPLETE:
            if not trial.metrics_saved:
                metrics = {attributes.METRICS: result.metrics}
                trial.metrics_saved = self.study.set_attrs(trial.number, **metrics)
            reference = self.reference()
            if "keep" in objectives and reference is None:
                return False
            values = objective_values(objectives, result.metrics, self.spec.config.score, reference)
        ending = {attributes.SECONDS: trial.seconds, attributes.REASON: result.reason}
        self.study.set_attrs(trial.number, **ending)
        self.study.tell(trial.number, result.state, values)
        for folder in trial.folders:
            shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
        best = best_trials(self.study)
        better = bool(best) and best[0].number == trial.number
        self.console.ended(self.study.trial(trial.number), self.references(), better)
        return True

    def copy_result(self, trial: RunningTrial, earlier: FrozenTrial) -> bool:
        """Ends a duplicate with the earlier trial's result; False where that has not ended."""
        if not earlier.state.is_finished():
            return False
        names = (attributes.METRICS, attributes.REASON)
        copied = {name: earlier.user_attrs.get(name) for name in names} | {attributes.SECONDS: 0.0}
        self.study.set_attrs(trial.number, **copied)
        for step, value in earlier.intermediate_values.items():
            self.study.report(trial.number, step, value)
        values = list(earlier.values) if earlier.state == TrialState.COMPLETE else None
        self.study.tell(trial.number, earlier.state, values)
        self.console.duplicate(trial.number, earlier.number)
        return True

    def check_reference_loss(self, trial: FrozenTrial, reason: str) -> None:
        """Raises UserError where a trial is the reference that the objective needs.

        The machine has ended it, not its settings: another start may be luckier.
        """
        if "keep" in self.spec.objectives and is_reference(trial):
            allowed = "separate models that train; the same command tries them again"
            raise UserError("the sweep's reference", f"trial {trial.number}: {reason}", allowed)

    def check_failures(self) -> None:
        """Raises UserError once too many trials have failed, or a reference that is needed."""
        trials = trained(self.study.trials())
        failed = [trial for trial in trials if trial.state == TrialState.FAIL]
        separate = next(filter(is_reference, failed), None)
        if "keep" in self.spec.objectives and separate is not None:
            reason = separate.user_attrs.get(attributes.REASON)
            found = f"trial {separate.number} failed: {reason}"
            allowed = "separate models that train; begin anew with hydra.sweeper.study_name=NAME"
            raise UserError("the sweep's reference", found, allowed)
        total, rate = self.console.total or max(len(trials), 10), self.spec.options.max_failure_rate
        if failed and len(failed) > rate * total:
            reason = failed[-1].user_attrs.get(attributes.REASON)
            found = f"{len(failed)} failed trials (the last, trial {failed[-1].number}: {reason})"
            allowed = f"{rate:.0%} of {total}; with a higher rate the same command goes on"
            raise UserError("hydra.sweeper.max_failure_rate", found, allowed)
