"""The sweep: keeps trials in flight, tells the study how each ended, loses none."""

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.errors import UserError
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.sweep.asking import Asked, Asker
from mtl_sharing.sweep.flights import Flight
from mtl_sharing.sweep.jobs import Jobs, Returned
from mtl_sharing.sweep.life import ALIVE, Beating, Watch, mark
from mtl_sharing.sweep.records import best_trial, write_table
from mtl_sharing.sweep.report import Report
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.storage import LATER_S, back_since, patience
from mtl_sharing.sweep.study import (
    ATTEMPTS,
    OVERRIDES,
    REASON,
    REFERENCE,
    SAME_AS,
    Book,
    make_pruner,
    performance_study,
)
from mtl_sharing.sweep.verdict import Verdict, objective_values, read_verdict

log = logging.getLogger(__name__)

FIGURES, SECONDS = "figures", "seconds"
_LOOK_EVERY_S = 1.0


@dataclass
class Sweep:
    """One start of a sweep; others may work on the same study.

    Attributes:
        objectives: names of what the study optimises.
        known_reference: performance of separate models, where the config says it.
    """

    book: Book
    asker: Asker
    jobs: Jobs
    options: SweeperConfig
    score: ScoreConfig
    objectives: Sequence[str]
    known_reference: float | None
    report: Report
    watch: Watch = field(init=False)
    flights: dict[int, Flight] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.watch = Watch(self.options.grace_s, back_since)

    def run(self) -> None:
        """Until every trial of the study has ended and no more are wanted.

        Raises:
            UserError: too many trials failed, or the reference did.
            Stopped: a job here was asked to stop.
        """
        with Beating(self._beat):
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
        """A sign of life for each trial whose job shows none itself."""
        with patience(0 if beat else LATER_S):  # the next one comes
            trials = self.book.trials()
            for number in list(self.flights):
                found = trials[number].user_attrs.get(ALIVE) or {}
                if not found.get("job"):
                    self.book.note(number, **{ALIVE: mark(beat, job=False)})

    # Beginning

    def _fill(self) -> None:
        while sum(flight.busy for flight in self.flights.values()) < self.jobs.slots:
            asked = self.asker.next()
            if asked is None:
                return
            self._begin(asked)
            self._settle()

    def _begin(self, asked: Asked) -> None:
        flight = self._flight(asked.number, asked.overrides)
        flight.same_as = asked.same_as
        self.flights[asked.number] = flight
        if asked.reason is not None:
            flight.verdict = Verdict(TrialState.FAIL, {}, asked.reason)
        elif asked.same_as is None:
            self._start(flight)

    def _flight(self, number: int, overrides: Sequence[str]) -> Flight:
        folder, seeds = self.book.folder / str(number), list(self.options.seeds)
        return Flight(number, list(overrides), folder, seeds, begun=time.monotonic())

    def _start(self, flight: Flight) -> None:
        self.watch.forget(flight.number)
        self.report.started(flight.number)
        flight.ticket = self.jobs.start(flight.number, flight.words)

    def _take_up(self) -> None:
        """Takes over the running trials that nobody works on any more."""
        for trial in self.book.trials():
            mine = trial.number in self.flights
            if trial.state == TrialState.RUNNING and not mine and self._is_lost(trial):
                with self.book.alone():
                    now = self.book.trial(trial.number)
                    if now.user_attrs.get(ALIVE) != trial.user_attrs.get(ALIVE):
                        continue  # another sweep was faster
                    self.book.note(trial.number, **{ALIVE: mark(0, job=False)})
                self._resume(trial)

    def _is_lost(self, trial: FrozenTrial) -> bool:
        return self.watch.is_lost(trial.number, trial.user_attrs.get(ALIVE))

    def _resume(self, trial: FrozenTrial) -> None:
        flight = self._flight(trial.number, trial.user_attrs.get(OVERRIDES, []))
        flight.same_as = trial.user_attrs.get(SAME_AS)
        self.flights[trial.number] = flight
        if not flight.overrides:
            # Killed between the question and the answer: nothing was drawn.
            flight.verdict = Verdict(TrialState.FAIL, {}, "lost before it began")
        elif flight.same_as is None and read_verdict(flight.folders, self.score) is None:
            log.info("trial %d: taken up again", trial.number)
            flight.run = next(i for i in range(len(flight.folders)) if self._open_run(flight, i))
            self._again(flight)

    def _open_run(self, flight: Flight, run: int) -> bool:
        return read_verdict([flight.folders[run]], self.score) is None

    def _again(self, flight: Flight) -> None:
        """Starts a lost trial once more; fails it where it is lost again and again.

        What it has reported since shows that it gets on, so that only losses at the same place
        count.
        """
        trial = self.book.trial(flight.number)
        reports = len(trial.intermediate_values)
        before = trial.user_attrs.get(ATTEMPTS) or [0, -1]
        losses = before[0] + 1 if before[1] == reports else 1
        if losses > self.options.retries + 1:
            reason = f"lost {losses} times at the same place"
            flight.verdict = Verdict(TrialState.FAIL, {}, reason)
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
            write_table(self.book, self.objectives)

    def _ended(self, flight: Flight) -> bool:
        if flight.same_as is not None:
            return self._answer(flight, self.book.trial(flight.same_as))
        if flight.verdict is None:
            flight.verdict = self._verdict(flight)
        return flight.verdict is not None and self._tell(flight, flight.verdict)

    def _verdict(self, flight: Flight) -> Verdict | None:
        """How the trial ended; starts what is to be started where it has not."""
        found = read_verdict(flight.folders[: flight.run + 1], self.score)
        if found is not None:
            return self._next_seed(flight, found)
        returned = None if flight.ticket is None else self.jobs.returned(flight.ticket)
        if returned is None:
            if self._is_lost(self.book.trial(flight.number)):
                log.warning("trial %d: no sign of life; starting it again", flight.number)
                self._again(flight)
            return flight.verdict
        return self._without_result(flight, returned)

    def _next_seed(self, flight: Flight, found: Verdict) -> Verdict | None:
        if found.state != TrialState.COMPLETE or flight.run + 1 >= len(flight.seeds):
            return found
        trial_id = self.book.trial(flight.number)._trial_id
        last = read_verdict([flight.folders[flight.run]], self.score)
        assert last is not None
        step = flight.seeds[flight.run]
        self.book.storage.set_trial_intermediate_value(trial_id, step, last.figures["performance"])
        study = performance_study(self.book.study.study_name, self.book.storage)
        trial = self.book.trial(flight.number)
        if REFERENCE not in trial.user_attrs and make_pruner(self.options).prune(study, trial):
            reason = f"behind after {flight.run + 1} of {len(flight.seeds)} seeds"
            return Verdict(TrialState.PRUNED, found.figures, reason)
        flight.run += 1
        self._start(flight)
        return None

    def _without_result(self, flight: Flight, returned: Returned) -> Verdict | None:
        """A job that is over and has left no end in its folder."""
        if returned.in_use:
            flight.ticket = None  # another job of this trial works there; its signs are watched
        elif returned.reason is None or returned.lost:
            log.warning("trial %d: lost (%s)", flight.number, returned.reason or "stopped")
            self._again(flight)
        else:
            return Verdict(TrialState.FAIL, {}, returned.reason)
        return flight.verdict

    def reference(self) -> float | None:
        """Performance of separate models, once it is known.

        Raises:
            UserError: their training failed.
        """
        if self.known_reference is not None or not self.options.reference:
            return self.known_reference
        first = self.book.trial(0)
        if first.state == TrialState.FAIL:
            found = f"trial 0 failed: {first.user_attrs.get(REASON)}"
            raise UserError("the sweep's reference", found, "separate models that train")
        figures = first.user_attrs.get(FIGURES)
        return None if figures is None else figures["performance"]

    def _tell(self, flight: Flight, verdict: Verdict) -> bool:
        values = None
        if verdict.state == TrialState.COMPLETE:
            self.book.note(flight.number, **{FIGURES: verdict.figures})
            if "keep" in self.objectives and self.reference() is None:
                return False
            values = objective_values(
                self.objectives, verdict.figures, self.score, self.reference()
            )
        seconds = round(time.monotonic() - flight.begun, 1)
        self.book.note(flight.number, **{SECONDS: seconds, REASON: verdict.reason})
        self.book.tell(flight.number, verdict.state, values)
        # Nothing is left to go on with.
        for folder in flight.folders:
            shutil.rmtree(folder / "checkpoint", ignore_errors=True)
        best = best_trial(self.book)
        better = best is not None and best.number == flight.number
        self.report.ended(self.book.trial(flight.number), self.reference_or_none(), better)
        self._check_failures()
        return True

    def reference_or_none(self) -> float | None:
        """As :meth:`reference`, for a line of output."""
        try:
            return self.reference()
        except UserError:
            return None

    def _answer(self, flight: Flight, earlier: FrozenTrial) -> bool:
        """Tells an equal trial what the earlier one found, once it has."""
        if not earlier.state.is_finished():
            return False
        facts = {name: earlier.user_attrs.get(name) for name in (FIGURES, REASON)}
        self.book.note(flight.number, **facts, **{SECONDS: 0.0})
        for step, value in earlier.intermediate_values.items():
            trial_id = self.book.trial(flight.number)._trial_id
            self.book.storage.set_trial_intermediate_value(trial_id, step, value)
        values = list(earlier.values) if earlier.state == TrialState.COMPLETE else None
        self.book.tell(flight.number, earlier.state, values)
        self.report.answered(flight.number, earlier.number)
        return True

    def _check_failures(self) -> None:
        """Raises UserError once more trials have failed than may."""
        if "keep" in self.objectives:
            self.reference()
        trials = [t for t in self.book.trials() if SAME_AS not in t.user_attrs]
        failed = [trial for trial in trials if trial.state == TrialState.FAIL]
        wanted = self.report.wanted or max(len(trials), 10)
        if failed and len(failed) > self.options.max_failure_rate * wanted:
            last = f"the last, trial {failed[-1].number}: {failed[-1].user_attrs.get(REASON)}"
            found = f"{len(failed)} failed trials ({last})"
            allowed = f"{self.options.max_failure_rate:.0%} of {wanted}"
            raise UserError("hydra.sweeper.max_failure_rate", found, allowed)


def sweep_folder(config: Any) -> Path:
    """Where the sweep's trials lie."""
    return Path(str(config.hydra.sweep.dir)).absolute()
