"""Runs a sweep: checks its settings, opens its study, runs its trials, writes its files."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from mtl_sharing.errors import SweepStopped, UserError, is_interrupt
from mtl_sharing.score.objectives import DIRECTIONS
from mtl_sharing.score.reference import reference_performance
from mtl_sharing.sweep.jobs.launcher import JobPool, make_job_pool
from mtl_sharing.sweep.loop.ask import TrialProposer, hours_left_s
from mtl_sharing.sweep.loop.console import SweepConsole
from mtl_sharing.sweep.loop.search import RegimeSearch
from mtl_sharing.sweep.loop.supervisor import Supervisor
from mtl_sharing.sweep.loop.tell import StudyReporter
from mtl_sharing.sweep.output.dry_run import Plan, describe_sweep
from mtl_sharing.sweep.output.search_summary import end_search
from mtl_sharing.sweep.output.summary import end_sweep
from mtl_sharing.sweep.settings import SweeperConfig, is_search
from mtl_sharing.sweep.space.spec import SweepSpec, resolve_sweep
from mtl_sharing.sweep.study.attributes import INPUTS
from mtl_sharing.sweep.study.inputs import check_study_inputs, study_inputs
from mtl_sharing.sweep.study.storage import (
    DATABASE_ERRORS,
    FIRST_S,
    LATER_S,
    ROOM,
    DatabaseGone,
    DatabaseUnwritable,
    patience,
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
    """Runs a sweep to the end of its budget, or only describes it where ``dry_run`` is set.

    Raises:
        UserError: a mistake in the settings, too many failed trials, or a disk or folder that
            takes no more.
        SweepStopped: the sweep was interrupted; the same command continues it.
    """
    for name in ("hydra", "hydra_plugins"):  # they log each launch
        logging.getLogger(name).setLevel(logging.WARNING)
    if config.check_data:
        allowed = "false in a sweep; mtl-train check_data=true, without -m, reads the same data"
        raise UserError("check_data", "true", allowed)
    spec = resolve_sweep(options, config, context, arguments)
    written: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    corners = check_sweep(spec, written["subdir"])
    jobs = make_job_pool(options, config, launcher)
    score, tasks = spec.config.score, tuple(corners[0].run_spec.specs)
    selecting = reference_performance(score, tasks, bool(spec.config.suite.select_fraction))
    on_dev = reference_performance(score, tasks)
    if config.dry_run:
        trials = known_trials(options, spec.folder, spec.record())
        regimes = [*corners, spec.reference] if options.reference else corners
        count = len(RegimeSearch(spec).space.points) if is_search(options) else None
        describe_sweep(Plan(spec, trials, count), regimes)
        return
    with _storage_errors_named(spec.folder):
        directions = [DIRECTIONS[objective] for objective in spec.objectives]
        run_specs = [trial.run_spec for trial in corners]
        made_for = spec.record() | {INPUTS: study_inputs(run_specs)}
        study = open_study(options, spec.folder, directions, made_for)
        check_study_inputs(study, run_specs)
        left_s = hours_left_s(options, study.trials())
        deadline = None if left_s is None else time.monotonic() + left_s
        console = SweepConsole(spec.total_trials, jobs.inline)
        proposer = TrialProposer(study, spec, deadline)
        reporter = StudyReporter(study, spec, console, selecting, on_dev, proposer.search)
        _announce(study, spec)
        _run_trials(Supervisor(study, proposer, jobs, reporter, options), reporter, jobs)


@contextmanager
def _storage_errors_named(folder: Path) -> Iterator[None]:
    """Raises UserError for a disk or folder that takes no more: where, and what to do."""
    try:
        yield
    except DatabaseUnwritable as error:
        where = error.where if "://" in error.where else str(folder / error.where)
        raise UserError(where, error.found, ROOM) from None
    except OSError as error:
        where = str(error.filename or folder)
        raise UserError(where, error.strerror or error, ROOM) from error


def _announce(study: SweepStudy, spec: SweepSpec) -> None:
    trials, total = study.trials(), spec.total_trials
    count = "trials without end" if total is None else f"{total} trials"
    if is_search(spec.options):
        count = f"{'trainings' if total is None else f'at most {total} trainings'} until it is sure"
    log.info("sweep %s: %s, study in %s", study.name, count, study.location)
    if trials:
        ended = sum(trial.state.is_finished() for trial in trials)
        log.info("going on: %d of its trials have ended, %d have not", ended, len(trials) - ended)


def _run_trials(sweep: Supervisor, reporter: StudyReporter, jobs: JobPool) -> None:
    """Runs the trials, and writes the sweep's files even if that is interrupted or fails."""
    complete, readable = False, True
    try:
        with reporter.console as console:
            console.known(reporter.study.trials())
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
            # Beside an error or an interrupt, what cannot be written is left as it is.
            harmless = () if complete else (OSError, *DATABASE_ERRORS)
            with suppress(*harmless), patience(LATER_S if complete else FIRST_S):
                end = end_sweep if reporter.search is None else end_search
                end(reporter, jobs, complete)
