"""Tells the study how trials ended, and knows the reference that they are held against."""

import shutil
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.errors import UserError, one_of
from mtl_sharing.run_folder.layout import CHECKPOINT
from mtl_sharing.score.objectives import Figures, missing_figures, objective_values
from mtl_sharing.sweep.loop.console import Report
from mtl_sharing.sweep.loop.running_trial import RunningTrial
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study.records import best_trial
from mtl_sharing.sweep.study.study import (
    FIGURES,
    REASON,
    SECONDS,
    SweepStudy,
    is_reference,
    trained,
)
from mtl_sharing.sweep.study.trial_result import TrialResult


@dataclass(frozen=True)
class KnownReference:
    """Performance of separate models, where the config says it.

    Attributes:
        selecting: on what selects: what is held out of train, or dev.
        dev: on dev.
    """

    selecting: float | None = None
    dev: float | None = None


@dataclass
class StudyReporter:
    """Ends trials in the study."""

    book: SweepStudy
    search: SweepSpec
    known: KnownReference
    report: Report

    def reference(self) -> float | None:
        """Performance of separate models on what selects, once it is known.

        Raises:
            UserError: their training failed.
        """
        if self.known.selecting is not None or not self.search.options.reference:
            return self.known.selecting
        trials = self.book.trials()
        if not trials:
            return None
        first = trials[0]
        if first.state == TrialState.FAIL:
            found = f"trial 0 failed: {first.user_attrs.get(REASON)}"
            allowed = "separate models that train; begin anew with hydra.sweeper.study_name=NAME"
            raise UserError("the sweep's reference", found, allowed)
        figures = self.reference_figures()
        return None if figures is None else float(figures["performance"])

    def reference_figures(self) -> Figures | None:
        """Everything known of the reference that the sweep trained; None until it has."""
        first = self.book.trials()[:1]
        return first[0].user_attrs.get(FIGURES) if first and is_reference(first[0]) else None

    def selecting_reference(self) -> float | None:
        """As :meth:`reference`, for a picture; None where it has failed, too."""
        try:
            return self.reference()
        except UserError:
            return None

    def dev_reference(self) -> float | None:
        """Performance of separate models on dev, which is what is reported; None until known."""
        figures = self.reference_figures()
        return self.known.dev if figures is None else float(figures["dev_performance"])

    def tell(self, flight: RunningTrial, verdict: TrialResult) -> bool:
        """Ends a trial; False where its value waits for the reference.

        Raises:
            UserError: too many trials have failed, or the reference has.
        """
        values = None
        if verdict.state == TrialState.COMPLETE:
            missing = missing_figures(self.search.objectives, verdict.figures)
            if missing:
                verdict = TrialResult(TrialState.FAIL, {}, f"not measured: {one_of(missing)}")
        if verdict.state == TrialState.COMPLETE:
            if not flight.noted:
                self.book.note(flight.number, **{FIGURES: verdict.figures})
                flight.noted = True
            if "keep" in self.search.objectives and self.reference() is None:
                return False
            figures = verdict.figures, self.search.config.score, self.reference()
            values = objective_values(self.search.objectives, *figures)
        self.book.note(flight.number, **{SECONDS: flight.seconds, REASON: verdict.reason})
        self.book.tell(flight.number, verdict.state, values)
        # Nothing is left to go on with.
        for folder in flight.folders:
            shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
        best = best_trial(self.book)
        better = best is not None and best.number == flight.number
        self.report.ended(self.book.trial(flight.number), self.dev_reference(), better)
        self.check_failures()
        return True

    def answer(self, flight: RunningTrial, earlier: FrozenTrial) -> bool:
        """Ends an equal trial as the earlier one has; False where that has not."""
        if not earlier.state.is_finished():
            return False
        facts = {name: earlier.user_attrs.get(name) for name in (FIGURES, REASON)}
        self.book.note(flight.number, **facts, **{SECONDS: 0.0})
        for step, value in earlier.intermediate_values.items():
            self.book.report(flight.number, step, value)
        values = list(earlier.values) if earlier.state == TrialState.COMPLETE else None
        self.book.tell(flight.number, earlier.state, values)
        self.report.answered(flight.number, earlier.number)
        return True

    def check_failures(self) -> None:
        """Raises UserError once more trials have failed than may."""
        if "keep" in self.search.objectives:
            self.reference()
        trials = trained(self.book.trials())
        failed = [trial for trial in trials if trial.state == TrialState.FAIL]
        wanted = self.report.wanted or max(len(trials), 10)
        if failed and len(failed) > self.search.options.max_failure_rate * wanted:
            last = f"the last, trial {failed[-1].number}: {failed[-1].user_attrs.get(REASON)}"
            found = f"{len(failed)} failed trials ({last})"
            rate = f"{self.search.options.max_failure_rate:.0%} of {wanted}"
            allowed = f"{rate}; with a higher rate the same command goes on"
            raise UserError("hydra.sweeper.max_failure_rate", found, allowed)
