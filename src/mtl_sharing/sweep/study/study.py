"""The study of a sweep: opening it, its trials, and sharing it among several sweeps."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from mtl_sharing.config import Config
from mtl_sharing.config.identity import NOT_IN_SWEEP, without
from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.space.space import Point, Suggest
from mtl_sharing.sweep.study.attributes import ALIVE, INPUTS, MADE_FOR, VERSION
from mtl_sharing.sweep.study.components import make_sampler, sampler_study
from mtl_sharing.sweep.study.heartbeat import heartbeat
from mtl_sharing.sweep.study.storage import (
    has_studies,
    location_of,
    open_storage,
    patient,
    patiently,
)
from mtl_sharing.utils.locks import exclusive
from mtl_sharing.utils.nested import flatten

log = logging.getLogger(__name__)


@contextmanager
def folder_lock(folder: Path, purpose: str = "") -> Iterator[None]:
    """Keeps other sweeps in the folder from adding or claiming trials, or another ``purpose``."""
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(folder / f".{purpose}lock"))
        except OSError:
            log.debug("this file system has no locks")
        yield


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

    @cached_property
    @patient
    def began_with(self) -> dict[str, Any]:
        """Digests of the files that its trials read."""
        inputs: dict[str, Any] = self.study.user_attrs[MADE_FOR][INPUTS]
        return inputs

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
    def copy(self) -> optuna.Study:
        """A copy in memory, to read without the database."""
        copy = optuna.create_study(study_name=self.name, directions=self.study.directions)
        for name, value in self.study.user_attrs.items():
            copy.set_user_attr(name, value)
        copy.add_trials(self.trials())
        return copy

    @patient
    def add_trial(
        self,
        attributes: Mapping[str, Any],
        point: Point | None = None,
        distributions: dict[str, BaseDistribution] | None = None,
    ) -> int:
        """Adds a running trial with its first heartbeat, and returns its number.

        Args:
            point: its parameters, where no sampler draws them.
            distributions: of the parameters in ``point``.
        """
        # One transaction: Study.enqueue_trial and ask are two, and a sweep killed between them
        # would leave a waiting trial.
        attributes = {ALIVE: heartbeat(0, job=False), **attributes}
        trial = create_trial(state=TrialState.RUNNING, params=point, distributions=distributions,
                             user_attrs=attributes)  # fmt: skip
        return self.storage.get_trial(self.storage.create_new_trial(self._study_id, trial)).number

    @patient
    def draw(self, number: int, options: SweeperConfig, draw: Callable[[Suggest], Point]) -> Point:
        """Draws a running trial's parameters; those that it has already stay.

        After a kill between two of them the others are those that the trial would have had.
        """
        study = sampler_study(self.name, self.storage, make_sampler(options, number))
        stored, trial = self.trial(number), Trial(study, self._id(number))

        def suggest(name: str, distribution: Any) -> Any:
            if name in stored.params and name not in trial.relative_params:
                # Uses up the random numbers that it took before.
                study.sampler.sample_independent(study, stored, name, distribution)
            return _suggest(trial, name, distribution)

        return draw(suggest)

    @patient
    def set_attrs(self, number: int, **attributes: Any) -> bool:
        """Sets attributes of a running trial; False where the trial has ended."""
        with suppress(UpdateFinishedTrialError):
            for name, value in attributes.items():
                self.storage.set_trial_user_attr(self._id(number), name, value)
            return True
        return False

    @patient
    def set_system_attrs(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Sets attributes that Optuna's pruners keep with a running trial."""
        for name, value in attributes.items():
            self.storage.set_trial_system_attr(self._id(number), name, value)

    @patient
    def report(self, number: int, step: int, value: float) -> bool:
        """Adds an intermediate value for pruners; False where the trial has ended."""
        with suppress(UpdateFinishedTrialError):
            self.storage.set_trial_intermediate_value(self._id(number), step, value)
            return True
        return False

    @patient
    def tell(self, number: int, state: TrialState, values: list[float] | None) -> None:
        """Ends a trial, unless another process has done so."""
        with suppress(UpdateFinishedTrialError):  # after tell looked whether it has ended
            self.study.tell(number, values, state, skip_if_finished=True)


def _suggest(trial: Trial, name: str, distribution: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    is_int = isinstance(distribution, IntDistribution)
    suggest: Any = trial.suggest_int if is_int else trial.suggest_float
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

    def create() -> None:
        study = optuna.create_study(
            storage=storage, study_name=name, directions=directions, load_if_exists=True  # type: ignore[arg-type]
        )  # fmt: skip
        if MADE_FOR in study.user_attrs:
            check_made_for(name, study.user_attrs[MADE_FOR], made_for)
        else:
            _check_unused(name, study, folder)
            study.set_user_attr(MADE_FOR, made_for)

    with folder_lock(folder):  # of two first starts the second finds the first's study
        patiently(create, location_of(options.storage))
    return load_study(options, folder)


def load_study(options: SweeperConfig, folder: Path) -> SweepStudy:
    """Loads the study of the sweep in ``folder``; raises KeyError where there is none."""
    storage, location = open_storage(options.storage, folder), location_of(options.storage)
    load = partial(optuna.load_study, study_name=str(options.study_name), storage=storage)
    return SweepStudy(patiently(load, location), storage, folder, location)


def known_trials(
    options: SweeperConfig, folder: Path, made_for: Mapping[str, Any]
) -> list[FrozenTrial]:
    """Reads the trials of a study, none where there is no study, and writes nothing.

    Raises:
        UserError: the study was made for another sweep, or cannot be reached.
    """
    if not has_studies(options.storage, folder):
        return []
    try:
        study = load_study(options, folder)
    except KeyError:
        return []
    attributes = patiently(lambda: study.study.user_attrs, study.location)
    if MADE_FOR in attributes:
        check_made_for(study.name, attributes[MADE_FOR], made_for)
    return study.trials()


def _check_unused(name: str, study: optuna.Study, folder: Path) -> None:
    """Raises UserError where study or folder have trials of something else than this sweep."""
    if study.get_trials(deepcopy=False):
        found = f"{name}, a study with trials that no sweep of mtl-sharing has made"
        raise UserError("hydra.sweeper.study_name", found, "a name that no other study has")
    used = sorted(path.name for path in folder.glob("[0-9]*"))
    if used:
        found = f"{folder}, with trials that are not in this study ({used[0]})"
        raise UserError("hydra.sweep.dir", found, "the folder of this study, or a new one")


def check_made_for(name: str, old: Any, new: Mapping[str, Any]) -> None:
    """Raises UserError where a study was made for other settings; files are compared elsewhere."""
    if not isinstance(old, Mapping) or old.get(VERSION) != new.get(VERSION):
        found = f"{name}, a study of another version, in which equal settings give other metrics"
        allowed = "another name begins a new study: hydra.sweeper.study_name=NAME"
        raise UserError("hydra.sweeper.study_name", found, allowed)
    # A key that a study of an earlier version lacks had its default.
    defaults = dict(flatten({"settings": without(asdict(Config()), NOT_IN_SWEEP)}))
    defaults["sampler"] = "tpe, grid or another"
    before, now = (defaults | dict(flatten({**made_for, INPUTS: None})) for made_for in (old, new))
    differ = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if differ:
        changes = "; ".join(f"{key} {before.get(key)}, not {now.get(key)}" for key in differ[:3])
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise UserError(
            "hydra.sweeper.study_name", f"{name}, a study made with {changes}{more}",
            "the settings it was made with, or another name: hydra.sweeper.study_name=NAME",
        )  # fmt: skip
