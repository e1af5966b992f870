"""The supervisor of a sweep: keeps trials running, reports how each ended, resumes lost ones."""

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.sweep.jobs.launcher import JobOutcome, JobPool
from mtl_sharing.sweep.loop.ask import TrialProposer
from mtl_sharing.sweep.loop.running import RunningTrial
from mtl_sharing.sweep.loop.tell import StudyReporter
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.study.attributes import ALIVE, ATTEMPTS, SECONDS, is_reference
from mtl_sharing.sweep.study.components import make_pruner
from mtl_sharing.sweep.study.heartbeat import (
    IDLE_HEARTBEAT,
    HeartbeatThread,
    StaleTrialDetector,
    heartbeat,
)
from mtl_sharing.sweep.study.pruning import should_prune
from mtl_sharing.sweep.study.records import TrialResult, read_trial_result, write_table
from mtl_sharing.sweep.study.storage import LATER_S, back_since, patience
from mtl_sharing.sweep.study.study import SweepStudy, folder_lock
from mtl_sharing.training.signals import StopSignals

log = logging.getLogger(__name__)

_POLL_S = 1.0
# An idle trial that is not ended within so long has lost the sweep that started it.
_IDLE_S = 15.0


@dataclass
class Supervisor:
    """One start of a sweep, responsible for the trials in ``running``, by number.

    Others may work on the same study.
    """

    study: SweepStudy
    proposer: TrialProposer
    jobs: JobPool
    reporter: StudyReporter
    options: SweeperConfig
    running: dict[int, RunningTrial] = field(default_factory=dict)
    _stale: StaleTrialDetector = field(init=False)

    def __post_init__(self) -> None:
        self._stale = StaleTrialDetector(self.options.grace_s, back_since)

    def run(self) -> None:
        """Runs until every trial of the study has ended and the budget is exhausted.

        Raises:
            UserError: too many trials failed, or the reference did.
            OSError: a disk or folder takes no more. The trial is not ended by it.
            KeyboardInterrupt: interrupted; Stopped where that reached a training of this process.
        """
        self.reporter.check_failures()
        # An interrupt amid a transaction could leave the database locked.
        signals = nullcontext(StopSignals()) if self.jobs.inline else StopSignals()
        with HeartbeatThread(self._beat), signals as stop:
            while stop.received is None:
                self._resume_lost()
                self._settle()
                self._fill()
                if not self.running and not any(  # nor does a trial of another start run
                    trial.state == TrialState.RUNNING for trial in self.study.trials()
                ):
                    return
                self.jobs.wait(_POLL_S)
        raise KeyboardInterrupt

    def _beat(self, beat: int) -> None:
        """Writes the seconds of each running trial, and its heartbeat where its job does not."""
        with patience(0 if beat else LATER_S):  # a missed beat is harmless
            trials = self.study.trials()
            for number, trial in list(self.running.items()):
                by_job = (trials[number].user_attrs.get(ALIVE) or {}).get("job")
                alive = {} if by_job else {ALIVE: heartbeat(beat, job=False)}
                self.study.set_attrs(number, **{SECONDS: trial.seconds}, **alive)

    # Starting and resuming

    def _fill(self) -> None:
        while sum(trial.busy for trial in self.running.values()) < self.jobs.slots:
            trial = self.proposer.next()
            if trial is None:
                return
            self._begin(trial)
            self._settle()

    def _begin(self, trial: RunningTrial) -> None:
        self.running[trial.number] = trial
        if trial.busy and self._read([trial.folders[0]]) is None:
            self._start(trial)

    def _start(self, trial: RunningTrial) -> None:
        self._stale.forget(trial.number)
        self.reporter.console.started(trial.number)
        overrides, reference = trial.run_overrides, self.reporter.dev_reference()
        if reference is not None and self.reporter.given is None:
            overrides = [*overrides, f"score.reference={reference!r}"]  # for the trial's own result
        trial.job_id = self.jobs.start(trial.number, overrides)

    def _resume_lost(self) -> None:
        """Resumes the running trials that no process works on any more."""
        for trial in self.study.trials():
            others = trial.state == TrialState.RUNNING and trial.number not in self.running
            if others and self._is_lost(trial) and self._claim(trial):
                # An interrupted sweep does not count against the trial's retries.
                log.info("trial %d: resumed", trial.number)
                self._begin(self.proposer.resume(trial))

    def _claim(self, trial: FrozenTrial) -> bool:
        """Makes this start responsible for a lost trial; False where another start was faster."""
        with folder_lock(self.study.folder):
            now = self.study.trial(trial.number)
            same = now.user_attrs.get(ALIVE) == trial.user_attrs.get(ALIVE)
            alive = {ALIVE: heartbeat(0, job=False)}
            return same and self.study.set_attrs(trial.number, **alive)

    def _is_lost(self, trial: FrozenTrial) -> bool:
        beat = trial.user_attrs.get(ALIVE)
        lost = self._stale.is_lost(trial.number, beat)
        return lost or (beat == IDLE_HEARTBEAT and self._stale.age(trial.number) > _IDLE_S)

    def _read(self, folders: Sequence[Path]) -> TrialResult | None:
        return read_trial_result(folders, self.reporter.spec.config.score)

    def _retry(self, trial: RunningTrial, reason: str | None = None) -> None:
        """Restarts a lost trial, or fails it where it was lost too often.

        Losses count only while the trial reports nothing new in between.

        Raises:
            UserError: a reference that is needed was lost too often. It is not ended.
        """
        current = self.study.trial(trial.number)
        reports = len(current.intermediate_values)
        earlier, reports_then = current.user_attrs.get(ATTEMPTS) or (0, -1)
        losses = earlier + 1 if reports_then == reports else 1
        if losses > self.options.retries:
            reason = reason or f"lost {losses} times at the same place"
            self.reporter.check_reference_loss(current, reason)
            trial.result = TrialResult(TrialState.FAIL, {}, reason)
            return
        # The sweep's heartbeat replaces the job's until the new job begins, however long it queues.
        alive = {ALIVE: heartbeat(0, job=False)}
        self.study.set_attrs(trial.number, **{ATTEMPTS: [losses, reports]}, **alive)
        self._start(trial)

    # Ending

    def _settle(self) -> None:
        """Checks every running trial, and reports to the study those that have ended."""
        ended = [number for number, trial in list(self.running.items()) if self._has_ended(trial)]
        for number in ended:
            del self.running[number]
        if ended:
            write_table(self.study, self.reporter.spec.objectives)
        self.reporter.check_failures()

    def _has_ended(self, trial: RunningTrial) -> bool:
        if trial.same_as is not None:
            return self.reporter.copy_result(trial, self.study.trial(trial.same_as))
        if trial.result is None:
            trial.result = self._result(trial)
            if trial.result is not None:
                trial.ended = time.monotonic()
        return trial.result is not None and self.reporter.tell(trial, trial.result)

    def _result(self, trial: RunningTrial) -> TrialResult | None:
        """Starts the trial's next run or a lost one again; returns the result once it has ended."""
        result = self._read(trial.folders[: trial.run + 1])
        if result is not None:
            return self._next_seed(trial, result)
        outcome = None if trial.job_id is None else self.jobs.outcome(trial.job_id)
        if outcome is not None:
            return self._without_result(trial, outcome)
        current = self.study.trial(trial.number)
        if self._is_lost(current) and self._claim(current):
            log.warning("trial %d: no heartbeat; restarting it", trial.number)
            self._retry(trial)
        return trial.result

    def _next_seed(self, trial: RunningTrial, result: TrialResult) -> TrialResult | None:
        if result.state != TrialState.COMPLETE or not trial.seeds:
            return result
        last = self._read([trial.folders[trial.run]])
        assert last is not None
        # A step is a seed's position, which is the same for every trial.
        self.study.report(trial.number, trial.run + 1, last.metrics["performance"])
        if trial.run + 1 == len(trial.seeds):
            return result
        reference = is_reference(self.study.trial(trial.number))
        pruner = make_pruner(self.options)
        if not reference and should_prune(pruner, self.study, trial.number):
            reason = f"behind after {trial.run + 1} of {len(trial.seeds)} seeds"
            return TrialResult(TrialState.PRUNED, result.metrics, reason)
        trial.run += 1
        if self._read([trial.folders[trial.run]]) is None:  # not done by an earlier start
            self._start(trial)
        return None

    def _without_result(self, trial: RunningTrial, outcome: JobOutcome) -> TrialResult | None:
        """Handles a job that is over and has left no result in its folder."""
        if outcome.storage_error is not None:
            raise outcome.storage_error
        if outcome.in_use:
            trial.job_id = None  # another job works on the trial: only its heartbeat counts now
        elif outcome.reason is None or outcome.lost:
            log.warning("trial %d: lost (%s)", trial.number, outcome.reason or "stopped")
            self._retry(trial, outcome.reason)
        else:
            return TrialResult(TrialState.FAIL, {}, outcome.reason)
        return trial.result
