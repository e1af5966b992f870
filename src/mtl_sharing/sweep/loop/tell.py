"""Reports to the study how trials ended, and looks up the reference they are compared with."""

import shutil
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.errors import UserError, one_of
from mtl_sharing.run_folder.layout import CHECKPOINT
from mtl_sharing.score.objectives import Metrics, missing_metrics, objective_values
from mtl_sharing.sweep.loop.ask import RunningTrial
from mtl_sharing.sweep.loop.console import SweepConsole
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study.attributes import METRICS, REASON, SECONDS, is_reference, trained
from mtl_sharing.sweep.study.records import best_trials
from mtl_sharing.sweep.study.study import SweepStudy
from mtl_sharing.sweep.study.trial_result import TrialResult


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
        metrics = self.reference_metrics()
        return None if metrics is None else float(metrics["performance"])

    def reference_metrics(self) -> Metrics | None:
        """Metrics of the trial of separate models; None until it has been trained."""
        first = self.study.trials()[:1]
        return first[0].user_attrs.get(METRICS) if first and is_reference(first[0]) else None

    def dev_reference(self) -> float | None:
        """Performance of separate models on dev, for reporting; None until it is known."""
        metrics = self.reference_metrics()
        return self.given_on_dev if metrics is None else float(metrics["dev_performance"])

    def tell(self, trial: RunningTrial, result: TrialResult) -> bool:
        """Ends a trial; False where its value still needs the reference."""
        objectives, values = self.spec.objectives, None
        complete = result.state == TrialState.COMPLETE
        if complete and (missing := missing_metrics(objectives, result.metrics)):
            result = TrialResult(TrialState.FAIL, {}, f"not measured: {one_of(missing)}")
        if result.state == TrialState.COMPLETE:
            if not trial.metrics_saved:
                trial.metrics_saved = self.study.set_attrs(
                    trial.number, **{METRICS: result.metrics}
                )
            reference = self.reference()
            if "keep" in objectives and reference is None:
                return False
            values = objective_values(objectives, result.metrics, self.spec.config.score, reference)
        self.study.set_attrs(trial.number, **{SECONDS: trial.seconds, REASON: result.reason})
        self.study.tell(trial.number, result.state, values)
        for folder in trial.folders:
            shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
        best = [other.number == trial.number for other in best_trials(self.study)[:1]]
        self.console.ended(self.study.trial(trial.number), self.dev_reference(), any(best))
        return True

    def copy_result(self, trial: RunningTrial, earlier: FrozenTrial) -> bool:
        """Ends a duplicate with the earlier trial's result; False where that has not ended."""
        if not earlier.state.is_finished():
            return False
        attributes = {name: earlier.user_attrs.get(name) for name in (METRICS, REASON)}
        self.study.set_attrs(trial.number, **attributes, **{SECONDS: 0.0})
        for step, value in earlier.intermediate_values.items():
            self.study.report(trial.number, step, value)
        values = list(earlier.values) if earlier.state == TrialState.COMPLETE else None
        self.study.tell(trial.number, earlier.state, values)
        self.console.duplicate(trial.number, earlier.number)
        return True

    def check_failures(self) -> None:
        """Raises UserError once too many trials have failed, or a reference that is needed."""
        trials = trained(self.study.trials())
        failed = [trial for trial in trials if trial.state == TrialState.FAIL]
        if "keep" in self.spec.objectives and failed and is_reference(failed[0]):
            found = f"trial 0 failed: {failed[0].user_attrs.get(REASON)}"
            allowed = "separate models that train; begin anew with hydra.sweeper.study_name=NAME"
            raise UserError("the sweep's reference", found, allowed)
        total, rate = self.console.total or max(len(trials), 10), self.spec.options.max_failure_rate
        if failed and len(failed) > rate * total:
            last = f"the last, trial {failed[-1].number}: {failed[-1].user_attrs.get(REASON)}"
            found = f"{len(failed)} failed trials ({last})"
            allowed = f"{rate:.0%} of {total}; with a higher rate the same command goes on"
            raise UserError("hydra.sweeper.max_failure_rate", found, allowed)
