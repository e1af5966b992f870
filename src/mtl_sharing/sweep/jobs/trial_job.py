"""A trial's job: reports to the study, is pruned by it, and shows that it is alive."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from hydra.core.hydra_config import HydraConfig
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from mtl_sharing.config import Config
from mtl_sharing.errors import Pruned
from mtl_sharing.evaluation.evaluate import Evaluation
from mtl_sharing.job.run import Hooks, run_job
from mtl_sharing.score.score import Multipliers, saved_cost
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.sweep.jobs.device_slots import runs_in_the_sweep
from mtl_sharing.sweep.jobs.input_cache import read_once
from mtl_sharing.sweep.jobs.measure_best import FOLDER as MEASURED
from mtl_sharing.sweep.jobs.measure_best import run_measurement
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.study.heartbeat import ALIVE, HeartbeatThread, idle_heartbeat, mark
from mtl_sharing.sweep.study.pruning import KeepPruner
from mtl_sharing.sweep.study.storage import DATABASE_ERRORS, LATER_S, open_storage, patience
from mtl_sharing.sweep.study.study import SAVED, make_pruner
from mtl_sharing.sweep.study.trial_result import read_trial_result
from mtl_sharing.sweep.study.views import REFERENCE, performance_study
from mtl_sharing.utils.logging import ConsoleHandler

log = logging.getLogger(__name__)

# How long a training stands still for a database that takes no report.
_REPORT_S = 20.0


@dataclass
class Trial:
    """The running trial as its job sees it.

    Attributes:
        reports: whether evaluations are reported; not where a trial is one run for each seed.
    """

    storage: BaseStorage
    study_name: str
    trial_id: int
    pruner: BasePruner
    score: ScoreConfig
    reports: bool
    _attributes: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self._attributes = self.storage.get_trial(self.trial_id).user_attrs

    def beat(self, beat: int) -> None:
        """Shows that the job is alive; does not wait for the database, for the next one comes."""
        with patience(0 if beat else LATER_S):
            self.storage.set_trial_user_attr(self.trial_id, ALIVE, mark(beat, job=True))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Shows life inside, while the trial's folder is held."""
        stopped = False
        try:
            with HeartbeatThread(self.beat):
                yield
        except KeyboardInterrupt:
            stopped = True
            raise
        finally:
            self.leave(stopped)

    def leave(self, stopped: bool) -> None:
        """Hands the duty to show life back to the sweep, or leaves a mark that shows none.

        Args:
            stopped: nobody takes the job up again but the sweep. Otherwise it is over, or waits
                in a queue for its next turn, where the sweep must take it for no lost one.
        """
        found = mark(0, job=True) if stopped else idle_heartbeat()
        # Over is over: a training is worth more than the mark of its end.
        with suppress(*DATABASE_ERRORS, UpdateFinishedTrialError), patience(_REPORT_S):
            self.storage.set_trial_user_attr(self.trial_id, ALIVE, found)

    def evaluated(self, done: float, found: Evaluation) -> None:
        """Reports the performance at this share of the training, in percent.

        Trials whose samplers take other numbers of steps are compared at the same share.

        Raises:
            Pruned: the study's pruner ends the trial here.
        """
        percent = round(100 * done)
        if self.reports and self._asked(lambda: self._report(percent, found.performance)):
            reason = f"behind after {percent}% of the training"
            raise Pruned(percent, found.performance, reason)

    def costed(self, found: Multipliers) -> None:
        """Notes what the regime saves.

        Raises:
            Pruned: that is too little to win, so that there is nothing to train for.
        """
        exponents = self.score.memory_exponent, self.score.time_exponent
        saved = saved_cost(found, *exponents)
        if self._asked(lambda: self._note_saved(saved)):
            raise Pruned(0, None, "another keeps enough and costs less")

    def _asked(self, work: Callable[[], bool]) -> bool:
        """Whether the study ends the trial; without a study that answers it goes on.

        A training is worth more than a report.
        """
        try:
            with patience(_REPORT_S):
                return work()
        except UpdateFinishedTrialError:
            raise Pruned(0, None, "the study has ended this trial") from None
        except DATABASE_ERRORS as error:
            log.warning("not reported: %s", str(error).partition("\n")[0])
            return False

    def _report(self, percent: int, performance: float) -> bool:
        self.storage.set_trial_intermediate_value(self.trial_id, percent, performance)
        return self._may_end and self.pruner.prune(self._study(), self._own())

    def _note_saved(self, saved: float) -> bool:
        self.storage.set_trial_user_attr(self.trial_id, SAVED, saved)
        if not isinstance(self.pruner, KeepPruner) or not self._may_end:
            return False
        return self.pruner.is_too_dear(self._study(), self._own())

    def _study(self) -> optuna.Study:
        return performance_study(self.study_name, self.storage)

    def _own(self) -> FrozenTrial:
        return self.storage.get_trial(self.trial_id)

    @property
    def _may_end(self) -> bool:
        return self.reports and REFERENCE not in self._attributes


def run_trial(config: Config, folder: Path, options: SweeperConfig) -> None:
    """Trains the job's trial in ``folder``, or goes on with it; its end stands in result.json.

    Raises:
        UserError, OSError: as a single run does.
        Stopped: asked to stop, with its state saved, in the sweep's own process.
    """
    _quiet_console()
    job = HydraConfig.get()
    if folder.name == MEASURED:
        run_measurement(config, folder, job.job.num)
        return
    storage = open_storage(options.storage, Path(job.sweep.dir))
    study_id = storage.get_study_id_from_name(str(options.study_name))
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, job.job.num)
    trial = Trial(
        storage, str(options.study_name), trial_id, make_pruner(options), config.score,
        not options.seeds,
    )  # fmt: skip
    # A launcher may start a job that another one has done meanwhile.
    if storage.get_trial(trial_id).state.is_finished() or read_trial_result([folder], config.score):
        return
    hooks = Hooks(read_once, trial.evaluated, trial.costed, curves=False, held=trial.at_work)
    try:
        run_job(config, folder, hooks)
    except Pruned:
        return
    except KeyboardInterrupt:
        # In a process of its own it would take others with it; the sweep looks into the folder.
        if runs_in_the_sweep(job.launcher):
            raise


def _quiet_console() -> None:
    """A trial's lines stand in its train.log; the console belongs to the sweep."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, ConsoleHandler):
            handler.setLevel(logging.WARNING)
