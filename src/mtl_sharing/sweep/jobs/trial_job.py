"""A trial's job: trains the trial, reports to the study, and writes heartbeats."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner

from mtl_sharing.config import to_config
from mtl_sharing.errors import Pruned, first_line, storage_error
from mtl_sharing.evaluation.evaluate import Evaluation
from mtl_sharing.job.hydra_files import start_of_job
from mtl_sharing.job.inputs import RunInputs, load_inputs
from mtl_sharing.job.measurement import measure
from mtl_sharing.job.run import run_job
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.job.stages import Hooks
from mtl_sharing.run_folder.layout import MEASURED, TOKENIZER
from mtl_sharing.run_folder.manifest import replace_listed_json, replace_listed_text
from mtl_sharing.score.objectives import Multipliers, saved_cost
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.sweep.jobs.device_slots import runs_in_the_sweep, runs_in_worker
from mtl_sharing.sweep.jobs.launcher import FOLDER
from mtl_sharing.sweep.settings import SweeperConfig, seeds_of_trial
from mtl_sharing.sweep.study.attributes import ALIVE, SAVED, is_reference
from mtl_sharing.sweep.study.components import make_pruner
from mtl_sharing.sweep.study.heartbeat import IDLE_HEARTBEAT, HeartbeatThread, heartbeat
from mtl_sharing.sweep.study.inputs import check_trial_inputs
from mtl_sharing.sweep.study.pruning import KeepPruner, should_prune
from mtl_sharing.sweep.study.records import read_trial_result
from mtl_sharing.sweep.study.storage import DATABASE_ERRORS, LATER_S, patience
from mtl_sharing.sweep.study.study import SweepStudy, load_study
from mtl_sharing.utils.logging import ConsoleHandler
from mtl_sharing.utils.signals import interrupts_in_job

log = logging.getLogger(__name__)

# How long a training waits for a database that takes no report.
_REPORT_S = 20.0


@dataclass
class InputCache:
    """Keeps the latest run's inputs for the trials of one process; the study compares files."""

    _key: str = ""
    _inputs: RunInputs | None = None
    _tokenizer: str = field(default="", repr=False)

    def __call__(self, run_spec: RunSpec, folder: Path) -> RunInputs:
        """The run's inputs; also writes its tokenizer into ``folder``."""
        key = _key(run_spec)
        if self._inputs is None or key != self._key:
            self._inputs = None  # before loading: two inputs may not fit in memory
            self._inputs, self._key = load_inputs(run_spec, folder), key
            self._tokenizer = (folder / TOKENIZER).read_text(encoding="utf-8")
        else:
            replace_listed_text(folder, TOKENIZER, self._tokenizer)
        return replace(self._inputs)


def _key(run_spec: RunSpec) -> str:
    """Everything that decides the inputs."""
    config = run_spec.config
    phases = sorted((phase.kind, str(phase.task)) for phase in config.phases.values())
    # The seed draws random weights, and the parts that a checkpoint lacks.
    return repr((config.suite, config.data_dir, config.encoder, config.cache, config.seed, phases,
                 run_spec.specs, run_spec.joined, run_spec.shape, run_spec.text.tags,
                 run_spec.architecture.pooler))  # fmt: skip


_load_cached = InputCache()


@dataclass
class TrialReporter:
    """Reports a running trial from its job.

    Attributes:
        pruner: None where the trial is never pruned.
        reports: whether evaluations are reported; not where a trial has a run for each seed.
    """

    study: SweepStudy
    number: int
    score: ScoreConfig
    pruner: BasePruner | None
    reports: bool

    def _beat(self, beat: int) -> None:
        with patience(0 if beat else LATER_S):  # a missed beat is harmless
            self.study.set_attrs(self.number, **{ALIVE: heartbeat(beat, job=True)})

    @contextmanager
    def heartbeats(self) -> Iterator[None]:
        """Writes heartbeats within the block, while the job holds the trial's folder."""
        last = IDLE_HEARTBEAT  # finished, or requeued: not lost
        try:
            with HeartbeatThread(self._beat):
                yield
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or storage_error(error) is not None:
                last = heartbeat(0, job=True)  # goes stale, so that a sweep resumes the trial
            raise
        finally:
            # Best effort: failing to record the end must not fail a finished run.
            with suppress(*DATABASE_ERRORS), patience(_REPORT_S):
                self.study.set_attrs(self.number, **{ALIVE: last})

    def evaluated(self, done: float, evaluation: Evaluation) -> None:
        """Reports the performance at a fraction of the training, as a step in percent.

        Trials whose samplers take different numbers of steps are compared at equal fractions.

        Raises:
            Pruned: the study's pruner ends the trial here.
        """
        percent, performance = round(100 * done), evaluation.performance

        def falls_behind() -> bool:
            return self.pruner is not None and should_prune(self.pruner, self.study, self.number)

        report = partial(self.study.report, self.number, percent, performance)
        if self.reports and self._ends(report, falls_behind):
            raise Pruned(percent, performance, f"behind after {percent}% of the training")

    def costed(self, multipliers: Multipliers) -> None:
        """Records the cost that the regime saves.

        Raises:
            Pruned: it is too little to win, so that training is pointless.
        """
        saved = saved_cost(multipliers, self.score.memory_exponent, self.score.time_exponent)

        def is_too_costly() -> bool:
            if not isinstance(self.pruner, KeepPruner):
                return False
            return self.pruner.is_too_costly(self.study.copy(), self.study.trial(self.number))

        record = partial(self.study.set_attrs, self.number, **{SAVED: saved})
        if self._ends(record, is_too_costly):
            raise Pruned(0, None, "another keeps enough and costs less")

    def _ends(self, report: Callable[[], bool], prunes: Callable[[], bool]) -> bool:
        """Whether a report ends the trial; without a response of the database it continues."""
        try:
            with patience(_REPORT_S):
                if report():
                    return prunes()
                raise UpdateFinishedTrialError
        except UpdateFinishedTrialError:
            raise Pruned(0, None, "the study has ended this trial") from None
        except DATABASE_ERRORS as error:
            log.warning("not reported: %s", first_line(error))
            return False


def run_trial(values: DictConfig, folder: Path, options: SweeperConfig) -> None:
    """Trains or resumes the job's trial in ``folder``, or measures the best one.

    Args:
        values: the job's composed config.

    Raises:
        UserError, OSError: as a single run does.
        Stopped: interrupted, with its state saved, in the sweep's own process.
    """
    _quiet_console()
    launcher = HydraConfig.get().launcher
    inline = runs_in_the_sweep(launcher)
    in_worker = runs_in_worker(launcher) and not inline
    try:
        with interrupts_in_job() if in_worker else nullcontext():
            _run_trial(values, folder, options)
    except KeyboardInterrupt:
        # In a worker process it would end the other workers, and the sweep reads the folder.
        if inline:
            raise


def _run_trial(values: DictConfig, folder: Path, options: SweeperConfig) -> None:
    job, config = HydraConfig.get(), to_config(values)
    number = int(job.job.num)
    if folder.name == FOLDER:
        if (measured := measure(config, folder, _load_cached)) is not None:
            replace_listed_json(folder, MEASURED, {"trial": number, **measured})
        return
    study = load_study(options, Path(job.sweep.dir))
    trial = study.trial(number)
    # A launcher may start a job whose trial another job has ended meanwhile.
    if trial.state.is_finished() or read_trial_result([folder], config.score):
        return
    reports = not seeds_of_trial(options)
    pruner = make_pruner(options) if reports and not is_reference(trial) else None
    reporter = TrialReporter(study, number, config.score, pruner, reports)

    hooks = Hooks(_load_cached, reporter.evaluated, reporter.costed, curves=False,
                  check_files=partial(check_trial_inputs, study),
                  held=reporter.heartbeats, start=start_of_job(values, is_new=False))  # fmt: skip
    with suppress(Pruned):
        run_job(config, folder, hooks)


def _quiet_console() -> None:
    """Limits the console to warnings: it belongs to the sweep, and a trial has its train.log."""
    logging.raiseExceptions = False  # a worker's too: no traceback for each line on a full disk
    for handler in logging.getLogger().handlers:
        if isinstance(handler, ConsoleHandler):
            handler.setLevel(logging.WARNING)
