"""Reports how trials ended: to the study, compared with the reference, and on the console."""

import shutil
from dataclasses import dataclass
from statistics import fmean

from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.errors import UserError, one_of
from mtl_sharing.run_folder.layout import CHECKPOINT
from mtl_sharing.score.objectives import Metrics, missing_metrics, objective_values
from mtl_sharing.sweep.loop.console import SweepConsole
from mtl_sharing.sweep.loop.running import RunningTrial
from mtl_sharing.sweep.loop.search import RegimeSearch
from mtl_sharing.sweep.search.decision import FEWEST
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study import attributes
from mtl_sharing.sweep.study.attributes import is_reference, trained
from mtl_sharing.sweep.study.records import References, TrialResult, best_trials
from mtl_sharing.sweep.study.study import SweepStudy


@dataclass
class StudyReporter:
    """Ends trials in the study.

    Attributes:
        given: performance of separate models on the split that selects (the part held out of
            train, or dev), where the config gives it.
        given_on_dev: the same on dev.
        search: decides between the regimes; None for a sweep that ranks trials.
    """

    study: SweepStudy
    spec: SweepSpec
    console: SweepConsole
    given: float | None
    given_on_dev: float | None
    search: RegimeSearch | None = None

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
        ended = self.study.trial(trial.number)
        self.console.ended(ended, self.references(), *self._standing(trial.number))
        return True

    def _standing(self, number: int) -> tuple[str, str]:
        """A remark on a trial that has ended, and what is best so far."""
        if self.search is None:
            best = [trial.number for trial in best_trials(self.study)[:1]]
            if number not in best:
                return "", ""
            regime = self.study.trial(number).user_attrs.get(attributes.REGIME)
            return "best so far", f"best {regime}"
        trials = self.study.trials()
        if len(self.search.standing(trials).state.trainings) < FEWEST:
            return "", ""
        decision = self.search.decide(trials, foresee=False)
        text = "" if decision is None else f"so far {decision.choice_text}"
        return text, text

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
        # A search goes on with the other seeds of separate models.
        needed = separate is not None and (self.search is None or not self._of_references())
        if "keep" in self.spec.objectives and separate is not None and needed:
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
