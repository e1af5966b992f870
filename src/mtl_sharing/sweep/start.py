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
from mtl_sharing.score.reference import reference_performance
from mtl_sharing.sweep.asking import Asker, hours_left_s
from mtl_sharing.sweep.checks import check_search
from mtl_sharing.sweep.dry_run import Plan, describe_sweep
from mtl_sharing.sweep.ending import end_sweep
from mtl_sharing.sweep.existing import known_trials
from mtl_sharing.sweep.jobs import Jobs, make_jobs
from mtl_sharing.sweep.regimes import Regime
from mtl_sharing.sweep.report import Report
from mtl_sharing.sweep.search import Search, open_search
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.storage import (
    FIRST_S,
    LATER_S,
    STUDY_FILE,
    DatabaseGone,
    open_storage,
    patience,
    patiently,
    place_of,
)
from mtl_sharing.sweep.study import Book, open_book
from mtl_sharing.sweep.sweep import Sweep
from mtl_sharing.sweep.telling import Known, Teller
from mtl_sharing.sweep.verdict import DIRECTIONS

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
    search = open_search(options, config, context, arguments)
    written: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    corners = check_search(search, written["subdir"])
    jobs = make_jobs(options, config, launcher)
    known = _known(search, tuple(corners[0].blueprint.specs))
    if config.dry_run:
        _describe(search, corners)
    else:
        with _terminated_as_interrupted(jobs):
            _run(search, jobs, known)


def _known(search: Search, tasks: Sequence[str]) -> Known:
    score, held = search.config.score, bool(search.config.suite.select_fraction)
    selecting = reference_performance(score, tasks, held)
    return Known(selecting, reference_performance(score, tasks))


@contextmanager
def _terminated_as_interrupted(jobs: Jobs) -> Iterator[None]:
    """SIGTERM stops a sweep as Ctrl-C does; a training in this process listens to it itself."""
    if jobs.inline or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _describe(search: Search, corners: list[Regime]) -> None:
    trials = known_trials(search.options, search.folder, search.record())
    first = [search.reference] if search.options.reference else []
    describe_sweep(Plan(search, trials), [*corners, *first])


def _run(search: Search, jobs: Jobs, known: Known) -> None:
    book = _book(search)
    left_s = hours_left_s(search.options, book.trials())
    deadline = None if left_s is None else time.monotonic() + left_s
    report = Report(search.wanted, jobs.inline, search.objectives)
    teller = Teller(book, search, known, report)
    _announce(book, search)
    sweep = Sweep(book, Asker(book, search, deadline), jobs, teller, search.options)
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


def _book(search: Search) -> Book:
    folder, name = search.folder, str(search.options.study_name)
    folder.mkdir(parents=True, exist_ok=True)
    storage = open_storage(search.options.storage, folder)
    directions = [DIRECTIONS[objective] for objective in search.objectives]
    return patiently(
        lambda: open_book(storage, name, folder, directions, search.record()), _place(search)
    )


def _place(search: Search) -> str:
    """Where the study lies, in words that may be shown."""
    url = search.options.storage
    return STUDY_FILE if url is None else place_of(url)


def _announce(book: Book, search: Search) -> None:
    trials = book.trials()
    words = "trials without end" if search.wanted is None else f"{search.wanted} trials"
    log.info("sweep %s: %s, study in %s", search.options.study_name, words, _place(search))
    if trials:
        ended = sum(trial.state.is_finished() for trial in trials)
        log.info("going on: %d of its trials have ended, %d have not", ended, len(trials) - ended)
