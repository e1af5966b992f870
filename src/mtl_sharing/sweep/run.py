"""From the sweeper's options to a running sweep: everything is checked before a trial begins."""

import logging
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from mtl_sharing.errors import SweepStopped, UserError, is_interrupt
from mtl_sharing.score.objectives import DIRECTIONS
from mtl_sharing.score.reference import reference_performance
from mtl_sharing.sweep.jobs.launcher import JobPool, make_job_pool
from mtl_sharing.sweep.loop.ask import TrialProposer, hours_left_s
from mtl_sharing.sweep.loop.console import Report
from mtl_sharing.sweep.loop.supervisor import Sweep
from mtl_sharing.sweep.loop.tell import KnownReference, StudyReporter
from mtl_sharing.sweep.output.dry_run import Plan, describe_sweep
from mtl_sharing.sweep.output.summary import end_sweep
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.space.composer import ComposedTrial
from mtl_sharing.sweep.space.spec import SweepSpec, resolve_sweep
from mtl_sharing.sweep.study.storage import (
    FIRST_S,
    LATER_S,
    STUDY_FILE,
    DatabaseGone,
    open_storage,
    patience,
    patiently,
    place_of,
)
from mtl_sharing.sweep.study.study import SweepStudy, known_trials, open_study
from mtl_sharing.sweep.validation import check_sweep

log = logging.getLogger(__name__)


def run_sweep(
    options: SweeperConfig,
    config: DictConfig,
    context: HydraContext,
    launcher: Launcher,
    arguments: Sequence[str],
) -> None:
    """Searches to the end of the budget, or describes the sweep where ``dry_run`` is set.

    Raises:
        UserError: a mistake in the settings, or too many failed trials.
        SweepStopped: asked to stop; the same command goes on.
    """
    # Each launch would announce itself.
    for name in ("hydra", "hydra_plugins"):
        logging.getLogger(name).setLevel(logging.WARNING)
    search = resolve_sweep(options, config, context, arguments)
    written: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    corners = check_sweep(search, written["subdir"])
    jobs = make_job_pool(options, config, launcher)
    known = _known(search, tuple(corners[0].run_spec.specs))
    if config.dry_run:
        _describe(search, corners)
    else:
        with _terminated_as_interrupted(jobs):
            _run(search, jobs, known)


def _known(search: SweepSpec, tasks: Sequence[str]) -> KnownReference:
    score, held = search.config.score, bool(search.config.suite.select_fraction)
    selecting = reference_performance(score, tasks, held)
    return KnownReference(selecting, reference_performance(score, tasks))


@contextmanager
def _terminated_as_interrupted(jobs: JobPool) -> Iterator[None]:
    """SIGTERM stops a sweep as Ctrl-C does; a training in this process listens to it itself."""
    if jobs.inline or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _describe(search: SweepSpec, corners: list[ComposedTrial]) -> None:
    trials = known_trials(search.options, search.folder, search.record())
    first = [search.reference] if search.options.reference else []
    describe_sweep(Plan(search, trials), [*corners, *first])


def _run(search: SweepSpec, jobs: JobPool, known: KnownReference) -> None:
    book = _book(search)
    left_s = hours_left_s(search.options, book.trials())
    deadline = None if left_s is None else time.monotonic() + left_s
    report = Report(search.total_trials, jobs.inline, search.objectives)
    teller = StudyReporter(book, search, known, report)
    _announce(book, search)
    sweep = Sweep(book, TrialProposer(book, search, deadline), jobs, teller, search.options)
    complete, readable = False, True
    try:
        with report:
            report.known(book.trials())
            sweep.run()
        complete = True
    except (DatabaseGone, UserError) as error:
        readable = not isinstance(error, DatabaseGone)
        raise
    except (KeyboardInterrupt, Exception) as error:
        if is_interrupt(error):
            raise SweepStopped from None
        raise
    finally:
        if not complete:
            jobs.stop()
        if readable:
            with patience(LATER_S if complete else FIRST_S):
                end_sweep(teller, jobs, complete)


def _book(search: SweepSpec) -> SweepStudy:
    folder, name = search.folder, str(search.options.study_name)
    folder.mkdir(parents=True, exist_ok=True)
    storage = open_storage(search.options.storage, folder)
    directions = [DIRECTIONS[objective] for objective in search.objectives]
    return patiently(
        lambda: open_study(storage, name, folder, directions, search.record()), _place(search)
    )


def _place(search: SweepSpec) -> str:
    """Where the study lies, in words that may be shown."""
    url = search.options.storage
    return STUDY_FILE if url is None else place_of(url)


def _announce(book: SweepStudy, search: SweepSpec) -> None:
    trials = book.trials()
    words = "trials without end" if search.total_trials is None else f"{search.total_trials} trials"
    log.info("sweep %s: %s, study in %s", search.options.study_name, words, _place(search))
    if trials:
        ended = sum(trial.state.is_finished() for trial in trials)
        log.info("going on: %d of its trials have ended, %d have not", ended, len(trials) - ended)
