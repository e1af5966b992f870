"""The sweep: keeps trials in flight, tells the study how each ended, loses none."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.sweep.jobs.launcher import JobOutcome, JobPool
from mtl_sharing.sweep.loop.ask import ProposedTrial, TrialProposer
from mtl_sharing.sweep.loop.running_trial import RunningTrial
from mtl_sharing.sweep.loop.tell import StudyReporter
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.study.heartbeat import (
    ALIVE,
    HeartbeatThread,
    StaleTrialDetector,
    idle_heartbeat,
    mark,
)
from mtl_sharing.sweep.study.records import write_table
from mtl_sharing.sweep.study.storage import LATER_S, back_since, patience
from mtl_sharing.sweep.study.study import (
    ATTEMPTS,
    OVERRIDES,
    SAME_AS,
    SECONDS,
    SweepStudy,
    is_reference,
    make_pruner,
)
from mtl_sharing.sweep.study.trial_result import TrialResult, read_trial_result
from mtl_sharing.sweep.study.views import performance_study

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_TOLD_S = 15.0


@dataclass
class Sweep:
    """One start of a sweep; others may work on the same study.

    Attributes:
        flights: the running trials that this start is responsible for, by number.
    """

    book: SweepStudy
    asker: TrialProposer
    jobs: JobPool
    teller: StudyReporter
    options: SweeperConfig
    watch: StaleTrialDetector = field(init=False)
    flights: dict[int, RunningTrial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.watch = StaleTrialDetector(self.options.grace_s, back_since)

    def run(self) -> None:
        """Until every trial of the study has ended and no more are wanted.

        Raises:
            UserError: too many trials failed, or the reference did.
            Stopped: a job here was asked to stop.
        """
        self.teller.check_failures()
        with HeartbeatThread(self._beat):
            while True:
                self._take_up()
                self._settle()
                self._fill()
                if not self._open():
                    return
                self.jobs.wait(_LOOK_EVERY_S)

    def _open(self) -> bool:
        """Whether any trial runs, here or elsewhere."""
        return bool(self.flights) or any(
            trial.state == TrialState.RUNNING for trial in self.book.trials()
        )

    def _beat(self, beat: int) -> None:
        """A sign of life for each trial whose job shows none itself, and the time of all."""
        with patience(0 if beat else LATER_S):  # the next one comes
            trials = self.book.trials()
            for number, flight in list(self.flights.items()):
                found = trials[number].user_attrs.get(ALIVE) or {}
                alive = {} if found.get("job") else {ALIVE: mark(beat, job=False)}
                self.book.note(number, **{SECONDS: flight.seconds}, **alive)

    # Beginning

    def _fill(self) -> None:
        while sum(flight.busy for flight in self.flights.values()) < self.jobs.slots:
            asked = self.asker.next()
            if asked is None:
                return
            self._begin(asked)
            self._settle()

    def _begin(self, asked: ProposedTrial) -> None:
        flight = self._flight(asked.number, asked.overrides)
        flight.same_as = asked.same_as
        self.flights[asked.number] = flight
        if asked.reason is not None:
            flight.verdict = TrialResult(TrialState.FAIL, {}, asked.reason)
        elif asked.same_as is None:
            self._start(flight)

    def _flight(self, number: int, overrides: Sequence[str]) -> RunningTrial:
        folder, seeds = self.book.folder / str(number), list(self.options.seeds)
        return RunningTrial(number, list(overrides), folder, seeds, begun=time.monotonic())

    def _start(self, flight: RunningTrial) -> None:
        self.watch.forget(flight.number)
        self.teller.report.started(flight.number)
        flight.ticket = self.jobs.start(flight.number, [*flight.words, *self._reference()])

    def _reference(self) -> list[str]:
        """What separate models reach on dev, once known, so that a trial's result can say it."""
        found = self.teller.dev_reference()
        given = self.teller.known.selecting is not None
        return [] if found is None or given else [f"score.reference={found!r}"]

    def _take_up(self) -> None:
        """Takes over the running trials that nobody works on any more."""
        for trial in self.book.trials():
            mine = trial.number in self.flights
            lost = trial.state == TrialState.RUNNING and not mine and self._is_lost(trial)
            if lost and self._claim(trial):
                self._resume(trial)

    def _claim(self, trial: FrozenTrial) -> bool:
        """Makes this start responsible for a lost trial; False where another one was faster."""
        with self.book.alone():
            now = self.book.trial(trial.number)
            same = now.user_attrs.get(ALIVE) == trial.user_attrs.get(ALIVE)
            if now.state.is_finished() or not same:
                return False
            self.book.note(trial.number, **{ALIVE: mark(0, job=False)})
        return True

    def _is_lost(self, trial: FrozenTrial) -> bool:
        found = trial.user_attrs.get(ALIVE)
        # A job that has ended well: whoever started it would have told the study by now.
        lost = self.watch.is_lost(trial.number, found)
        return lost or (found == idle_heartbeat() and self.watch.age(trial.number) > _TOLD_S)

    def _resume(self, trial: FrozenTrial) -> None:
        flight = self._flight(trial.number, trial.user_attrs.get(OVERRIDES, []))
        flight.same_as = trial.user_attrs.get(SAME_AS)
        flight.before_s = trial.user_attrs.get(SECONDS) or 0.0
        self.flights[trial.number] = flight
        if not flight.overrides:
            self._begin(self.asker.again(trial))
        elif flight.same_as is None and self._open_run(flight, 0):
            # Not counted as a loss: whoever stopped the sweep meant no harm to the trial.
            log.info("trial %d: taken up again", trial.number)
            self._start(flight)

    def _open_run(self, flight: RunningTrial, run: int) -> bool:
        return self._read([flight.folders[run]]) is None

    def _read(self, folders: Sequence[Path]) -> TrialResult | None:
        return read_trial_result(folders, self.teller.search.config.score)

    def _again(self, flight: RunningTrial) -> None:
        """Starts a lost trial once more; fails it where it is lost again and again.

        What it has reported since shows that it gets on, so that only losses at the same place
        count.
        """
        trial = self.book.trial(flight.number)
        reports = len(trial.intermediate_values)
        before = trial.user_attrs.get(ATTEMPTS) or [0, -1]
        losses = before[0] + 1 if before[1] == reports else 1
        if losses > self.options.retries:
            reason = f"lost {losses} times at the same place"
            flight.verdict = TrialResult(TrialState.FAIL, {}, reason)
            return
        # The mark too: until the new job begins, however long it waits, the sweep shows life.
        self.book.note(flight.number, **{ATTEMPTS: [losses, reports], ALIVE: mark(0, job=False)})
        self._start(flight)

    # Ending

    def _settle(self) -> None:
        """Looks at every trial in flight, and tells the study of those that have ended."""
        told = [number for number, flight in list(self.flights.items()) if self._ended(flight)]
        for number in told:
            del self.flights[number]
        if told:
            write_table(self.book, self.teller.search.objectives)

    def _ended(self, flight: RunningTrial) -> bool:
        if flight.same_as is not None:
            return self.teller.answer(flight, self.book.trial(flight.same_as))
        if flight.verdict is None:
            flight.verdict = self._verdict(flight)
            if flight.verdict is not None:
                flight.ended = time.monotonic()
        return flight.verdict is not None and self.teller.tell(flight, flight.verdict)

    def _verdict(self, flight: RunningTrial) -> TrialResult | None:
        """How the trial ended; starts what is to be started where it has not."""
        found = self._read(flight.folders[: flight.run + 1])
        if found is not None:
            return self._next_seed(flight, found)
        returned = None if flight.ticket is None else self.jobs.returned(flight.ticket)
        if returned is None:
            trial = self.book.trial(flight.number)
            if self._is_lost(trial) and self._claim(trial):
                log.warning("trial %d: no sign of life; starting it again", flight.number)
                self._again(flight)
            return flight.verdict
        return self._without_result(flight, returned)

    def _next_seed(self, flight: RunningTrial, found: TrialResult) -> TrialResult | None:
        if found.state != TrialState.COMPLETE or not flight.seeds:
            return found
        last = self._read([flight.folders[flight.run]])
        assert last is not None
        # Each seed is a step, by its place: the same one of every trial.
        self.book.report(flight.number, flight.run + 1, last.figures["performance"])
        if flight.run + 1 == len(flight.seeds):
            return found
        study = performance_study(self.book.study.study_name, self.book.storage)
        trial = self.book.trial(flight.number)
        if not is_reference(trial) and make_pruner(self.options).prune(study, trial):
            reason = f"behind after {flight.run + 1} of {len(flight.seeds)} seeds"
            return TrialResult(TrialState.PRUNED, found.figures, reason)
        flight.run += 1
        if self._open_run(flight, flight.run):  # not so where an earlier start has done it
            self._start(flight)
        return None

    def _without_result(self, flight: RunningTrial, returned: JobOutcome) -> TrialResult | None:
        """A job that is over and has left no end in its folder."""
        if returned.in_use:
            flight.ticket = None  # another job of this trial works there; its signs are watched
        elif returned.reason is None or returned.lost:
            log.warning("trial %d: lost (%s)", flight.number, returned.reason or "stopped")
            self._again(flight)
        else:
            return TrialResult(TrialState.FAIL, {}, returned.reason)
        return flight.verdict
