"""The study of a sweep: its trials, the settings it was made for, and sharing it among sweeps."""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import optuna
from hydra.utils import instantiate
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import NoSuchModuleError

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import PRUNERS, SAMPLERS, SweeperConfig
from mtl_sharing.sweep.space.space import Point, Suggest
from mtl_sharing.sweep.study.heartbeat import ALIVE, heartbeat
from mtl_sharing.sweep.study.storage import (
    STUDY_FILE,
    engine_arguments,
    location_of,
    open_storage,
    patient,
    patiently,
)
from mtl_sharing.sweep.study.views import REFERENCE, sampler_study
from mtl_sharing.utils.locks import exclusive
from mtl_sharing.utils.nested import flatten

log = logging.getLogger(__name__)

# Attributes of studies and trials as databases hold them: never rename the strings.
MADE_FOR = "made for"
SAME_AS, IDENTITY, REASON = "same as", "identity", "reason"
OVERRIDES, REGIME, ATTEMPTS = "overrides", "regime", "attempts"
METRICS, SECONDS = "figures", "seconds"
SAVED = "saved"
"""The cost that the regime saves by the score's ratios, where it is known before training."""


def known_trials(
    options: SweeperConfig, folder: Path, made_for: Mapping[str, Any]
) -> list[FrozenTrial]:
    """Reads the trials of a study, none where there is no study, and writes nothing.

    Raises:
        UserError: the study was made for another sweep, or cannot be reached.
    """
    if options.storage is None and not (folder / STUDY_FILE).is_file():
        return []
    if options.storage is not None and not _has_studies(options.storage):
        return []
    storage, name = open_storage(options.storage, folder), str(options.study_name)

    def read() -> list[FrozenTrial]:
        if name not in optuna.get_all_study_names(storage=storage):
            return []
        study = optuna.load_study(study_name=name, storage=storage)
        if MADE_FOR in study.user_attrs:
            check_made_for(name, study.user_attrs[MADE_FOR], made_for)
        return study.get_trials(deepcopy=False)

    return patiently(read, location_of(options.storage))


def _has_studies(url: str) -> bool:
    """Whether a database has Optuna's tables, which opening a storage would create."""

    def look() -> bool:
        parsed = make_url(url)
        if parsed.drivername.startswith("sqlite") and not Path(parsed.database or "").is_file():
            return False  # looking for tables would create the file
        engine = create_engine(parsed, **engine_arguments(parsed))
        try:
            return inspect(engine).has_table("studies")
        finally:
            engine.dispose()

    location = location_of(url)
    try:
        return patiently(look, location)
    except (ImportError, NoSuchModuleError):
        return True  # opening it names the missing package


def make_pruner(options: SweeperConfig) -> BasePruner:
    """The config's pruner.

    Raises:
        UserError: an argument that the pruner does not take.
    """
    pruner: BasePruner = _instantiate("hydra.sweeper.pruner", options.pruner, PRUNERS, {})
    return pruner


def make_sampler(options: SweeperConfig, number: int) -> BaseSampler:
    """The config's sampler for the trial ``number``.

    A seeded sampler is made anew for each trial, so that a resumed sweep draws what an
    uninterrupted one would have drawn.

    Raises:
        UserError: an argument that the sampler does not take.
    """
    if is_grid(options):
        return RandomSampler(seed=0)  # never used: a grid's trials start with all their values
    target, seed = str(options.sampler["_target_"]), options.sampler.get("seed")
    # A quasi-random sequence needs one seed throughout.
    seeded = {} if seed is None or target.endswith("QMCSampler") else {"seed": seed + number}
    sampler: BaseSampler = _instantiate("hydra.sweeper.sampler", options.sampler, SAMPLERS, seeded)
    return sampler


def is_grid(options: SweeperConfig) -> bool:
    """Whether the sweep visits every point, in order."""
    return str(options.sampler.get("_target_", "")).endswith(("GridSampler", "BruteForceSampler"))


def _instantiate(where: str, config: Any, allowed: tuple[str, ...], extra: dict[str, Any]) -> Any:
    # An argument that is null keeps Optuna's own default.
    arguments = {name: value for name, value in config.items() if value is not None} | extra
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's, of experimental features
            return instantiate(arguments, _execution_whitelist_=allowed)
    except Exception as error:
        message = str(error.__cause__ or error).splitlines()[0]
        found = f"{config.get('_target_')}: {message}"
        raise UserError(where, found, "what optuna takes") from None


@dataclass(frozen=True)
class SweepStudy:
    """The only access to a sweep's study; retries while its database does not respond.

    Where only the response to an operation was lost, it is done twice: an attribute or a report
    is written again, and of two new trials the first is resumed once it counts as lost.

    Attributes:
        folder: the sweep's folder; a trial's folder in it is named by the trial's number.
        location: the database as messages show it.
    """

    study: optuna.Study
    storage: BaseStorage
    folder: Path
    location: str

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.study_name

    @property
    def directions(self) -> list[StudyDirection]:
        """The direction of each objective."""
        return self.study.directions

    @cached_property
    def _study_id(self) -> int:
        return self.storage.get_study_id_from_name(self.name)

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    @patient
    def trials(self) -> list[FrozenTrial]:
        """All trials in their current state, in the order of their numbers."""
        return self.storage.get_all_trials(self._study_id, deepcopy=False)

    @patient
    def trial(self, number: int) -> FrozenTrial:
        """One trial in its current state."""
        return self.storage.get_trial(self._id(number))

    @patient
    def pareto_front(self) -> list[FrozenTrial]:
        """The complete trials that no other dominates."""
        return self.study.best_trials

    @patient
    def copy(self) -> optuna.Study:
        """A copy in memory, to read without the database."""
        copy = optuna.create_study(study_name=self.name, directions=self.directions)
        for name, value in self.study.user_attrs.items():
            copy.set_user_attr(name, value)
        copy.add_trials(self.trials())
        return copy

    @contextmanager
    def exclusive(self, purpose: str = "") -> Iterator[None]:
        """Keeps other sweeps in this folder from adding or claiming trials within the block.

        Args:
            purpose: another thing that only one sweep may do at a time.
        """
        with _exclusive(self.folder, purpose):
            yield

    @patient
    def add_trial(
        self,
        attributes: Mapping[str, Any],
        point: Point | None = None,
        distributions: Mapping[str, BaseDistribution] | None = None,
    ) -> int:
        """Adds a running trial with its first heartbeat, and returns its number.

        This is one transaction. ``Study.enqueue_trial`` followed by ``ask`` are two, and a sweep
        killed between them would leave a waiting trial.

        Args:
            point: its parameters, where no sampler draws them.
            distributions: of the parameters in ``point``.
        """
        trial = create_trial(
            state=TrialState.RUNNING,
            params=point,
            distributions=None if distributions is None else dict(distributions),
            user_attrs={ALIVE: heartbeat(0, job=False), **attributes},
        )
        return self.storage.get_trial(self.storage.create_new_trial(self._study_id, trial)).number

    @patient
    def draw(self, number: int, options: SweeperConfig, draw: Callable[[Suggest], Point]) -> Point:
        """Draws a running trial's parameters; those that it has already stay.

        Args:
            draw: calls ``suggest(name, distribution)`` for each parameter of the point.
        """
        study = sampler_study(self.name, self.storage, make_sampler(options, number))
        return draw(partial(_suggest, Trial(study, self._id(number))))

    @patient
    def set_attrs(self, number: int, **attributes: Any) -> bool:
        """Sets attributes of a running trial; False where the trial has ended."""
        try:
            for name, value in attributes.items():
                self.storage.set_trial_user_attr(self._id(number), name, value)
        except UpdateFinishedTrialError:
            return False
        return True

    @patient
    def set_system_attrs(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Sets attributes that Optuna's pruners keep with a running trial."""
        for name, value in attributes.items():
            self.storage.set_trial_system_attr(self._id(number), name, value)

    @patient
    def report(self, number: int, step: int, value: float) -> bool:
        """Adds an intermediate value for pruners; False where the trial has ended."""
        try:
            self.storage.set_trial_intermediate_value(self._id(number), step, value)
        except UpdateFinishedTrialError:
            return False
        return True

    @patient
    def tell(self, number: int, state: TrialState, values: list[float] | None) -> None:
        """Ends a trial, unless another process has done so."""
        try:
            self.study.tell(number, values, state, skip_if_finished=True)
        except UpdateFinishedTrialError:
            log.debug("trial %d was ended by another process meanwhile", number)


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    suggest: Any = trial.suggest_float
    if isinstance(distribution, IntDistribution):
        suggest = trial.suggest_int
    bounds = distribution.low, distribution.high
    return suggest(name, *bounds, step=distribution.step, log=distribution.log)


def open_study(
    options: SweeperConfig, folder: Path, directions: list[str], made_for: Mapping[str, Any]
) -> SweepStudy:
    """Opens the study of the sweep in ``folder``, and creates it where there is none yet.

    Raises:
        UserError: it was made for another space, other objectives or settings, or for another
            folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    storage, name = open_storage(options.storage, folder), str(options.study_name)

    def make() -> optuna.Study:
        study = optuna.create_study(
            storage=storage, study_name=name, directions=directions, load_if_exists=True  # type: ignore[arg-type]
        )  # fmt: skip
        if MADE_FOR in study.user_attrs:
            check_made_for(name, study.user_attrs[MADE_FOR], made_for)
        else:
            _check_unused(name, study, folder)
            study.set_user_attr(MADE_FOR, made_for)
        return study

    location = location_of(options.storage)
    with _exclusive(folder):  # of two first starts the second finds the first's study
        return SweepStudy(patiently(make, location), storage, folder, location)


def load_study(options: SweeperConfig, folder: Path) -> SweepStudy:
    """Loads the study of the sweep in ``folder``, which exists."""
    storage, location = open_storage(options.storage, folder), location_of(options.storage)
    load = partial(optuna.load_study, study_name=str(options.study_name), storage=storage)
    return SweepStudy(patiently(load, location), storage, folder, location)


@contextmanager
def _exclusive(folder: Path, purpose: str = "") -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(folder / f".{purpose}lock"))
        except OSError:
            log.debug("this file system has no locks")
        yield


def _check_unused(name: str, study: optuna.Study, folder: Path) -> None:
    """Raises UserError where study or folder have trials of something else than this sweep."""
    if study.get_trials(deepcopy=False):
        found = f"{name}, a study with trials that no sweep of mtl-sharing has made"
        raise UserError("hydra.sweeper.study_name", found, "a name that no other study has")
    used = sorted(path.name for path in folder.glob("[0-9]*"))
    if used:
        found = f"{folder}, with trials that are not in this study ({used[0]})"
        raise UserError("hydra.sweep.dir", found, "the folder of this study, or a new one")


def is_reference(trial: FrozenTrial) -> bool:
    """Whether it is the trial of separate models."""
    return REFERENCE in trial.user_attrs


def trained(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that are trained themselves, without duplicates of earlier ones."""
    return [trial for trial in trials if SAME_AS not in trial.user_attrs]


def check_made_for(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raises UserError where a study was made for other settings."""
    before, now = dict(flatten(old)), dict(flatten(new))
    differ = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if differ:
        changes = "; ".join(f"{key} {before.get(key)}, not {now.get(key)}" for key in differ[:3])
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise UserError(
            "hydra.sweeper.study_name", f"{name}, a study made with {changes}{more}",
            "the settings it was made with, or another name: hydra.sweeper.study_name=NAME",
        )  # fmt: skip
