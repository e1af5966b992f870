"""The study of a sweep: its trials, what it was made for, and how two sweeps share it."""

import fcntl
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from hydra.utils import instantiate
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import NoSuchModuleError

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import PRUNERS, SAMPLERS, SweeperConfig
from mtl_sharing.sweep.space.space import Point
from mtl_sharing.sweep.study.heartbeat import ALIVE, mark
from mtl_sharing.sweep.study.storage import (
    STUDY_FILE,
    engine_arguments,
    open_storage,
    patiently,
    place_of,
)
from mtl_sharing.sweep.study.views import REFERENCE, drawn_study

log = logging.getLogger(__name__)


def known_trials(
    options: SweeperConfig, folder: Path, made_for: Mapping[str, Any]
) -> list[FrozenTrial]:
    """The trials of the study as it stands; none where there is no study. Writes nothing.

    Raises:
        UserError: the study was made for another sweep, or cannot be reached.
    """
    if options.storage is None and not (folder / STUDY_FILE).is_file():
        return []
    if options.storage is not None and not _has_studies(options.storage):
        return []
    storage = open_storage(options.storage, folder)
    place = STUDY_FILE if options.storage is None else place_of(options.storage)
    studies = {s.study_name: s for s in patiently(storage.get_all_studies, place)}
    name = str(options.study_name)
    if name not in studies:
        return []
    found = storage.get_study_user_attrs(studies[name]._study_id).get(MADE_FOR)
    if found is not None:
        check_made_for(name, found, dict(made_for))
    return storage.get_all_trials(studies[name]._study_id, deepcopy=False)


def _has_studies(url: str) -> bool:
    """Whether a database has optuna's tables, which merely opening a storage would make."""

    def look() -> bool:
        parsed = make_url(url)
        if parsed.drivername.startswith("sqlite") and not Path(parsed.database or "").is_file():
            return False  # looking for tables would make the file
        engine = create_engine(parsed, **engine_arguments(parsed))
        try:
            return inspect(engine).has_table("studies")
        finally:
            engine.dispose()

    place = place_of(url)
    try:
        return patiently(look, place)
    except (ImportError, NoSuchModuleError):
        return True  # opening it says what is missing


MADE_FOR = "made for"
# Where optuna looks for parameters that are not to be drawn.
_FIXED = "fixed_params"
SAME_AS, IDENTITY, REASON = "same as", "identity", "reason"
OVERRIDES, REGIME, ATTEMPTS = "overrides", "regime", "attempts"
FIGURES, SECONDS = "figures", "seconds"
# What the regime saves, by the score's ratios, where that is known before it trains.
SAVED = "saved"


def make_pruner(options: SweeperConfig) -> BasePruner:
    """The config's pruner.

    Raises:
        UserError: an argument that it does not take.
    """
    made: BasePruner = _made("hydra.sweeper.pruner", options.pruner, PRUNERS, {})
    return made


def make_sampler(options: SweeperConfig, number: int) -> BaseSampler:
    """The config's sampler for the trial of this number.

    A sampler with a seed is made anew for every trial, so that a sweep that was stopped goes on
    with the draws it would have made.

    Raises:
        UserError: an argument that it does not take.
    """
    if is_grid(options):
        return RandomSampler(seed=0)  # never asked: a grid's trials have all their values
    target, seed = str(options.sampler["_target_"]), options.sampler.get("seed")
    # A sequence stays one only with its own seed.
    given = {} if seed is None or target.endswith("QMCSampler") else {"seed": seed + number}
    made: BaseSampler = _made("hydra.sweeper.sampler", options.sampler, SAMPLERS, given)
    return made


def is_grid(options: SweeperConfig) -> bool:
    """Whether every point is to be visited, in order."""
    return str(options.sampler.get("_target_", "")).endswith(("GridSampler", "BruteForceSampler"))


def _made(where: str, config: Any, allowed: tuple[str, ...], given: dict[str, Any]) -> Any:
    # What is null is left to optuna's own default.
    arguments = {name: value for name, value in config.items() if value is not None} | given
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # optuna's of what it calls experimental
            return instantiate(arguments, _execution_whitelist_=allowed)
    except Exception as error:
        cause = error.__cause__ or error
        words = str(cause).splitlines()[0]
        raise UserError(where, f"{config.get('_target_')}: {words}", "what optuna takes") from None


@dataclass(frozen=True)
class SweepStudy:
    """A study with the sweep's own conventions over it.

    Attributes:
        folder: the sweep's; a trial's number is the name of its folder in it.
    """

    study: optuna.Study
    storage: BaseStorage
    folder: Path

    @cached_property
    def study_id(self) -> int:
        """Of the study in its storage."""
        return self.storage.get_study_id_from_name(self.study.study_name)

    def trials(self) -> list[FrozenTrial]:
        """All trials as they stand, in the order of their numbers."""
        return self.storage.get_all_trials(self.study_id, deepcopy=False)

    def trial(self, number: int) -> FrozenTrial:
        """One trial as it stands."""
        return self.storage.get_trial(self._id(number))

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.study_id, number)

    @contextmanager
    def alone(self, what: str = "") -> Iterator[None]:
        """No other sweep in this folder asks for or takes up a trial meanwhile.

        Args:
            what: another thing that only one sweep may do at a time.
        """
        with _alone(self.folder, what):
            yield

    def ask(self, sampler: BaseSampler, fixed: Point | None = None, **facts: Any) -> Trial:
        """A new trial, made at once with a sign of life and all that decides what it will be.

        Args:
            fixed: its parameters, where no sampler draws them.
        """
        # As optuna.Study.ask, which would leave a moment in which the trial says nothing of itself.
        made = create_trial(
            state=TrialState.RUNNING,
            user_attrs={ALIVE: mark(0, job=False), **facts},
            system_attrs={} if fixed is None else {_FIXED: dict(fixed)},
        )
        trial_id = self.storage.create_new_trial(self.study_id, made)
        return self.open(trial_id, sampler)

    def open(self, trial_id: int, sampler: BaseSampler) -> Trial:
        """A running trial, to draw its parameters, or to read those it has drawn already."""
        return Trial(drawn_study(self.study.study_name, self.storage, sampler), trial_id)

    def note(self, number: int, **facts: Any) -> None:
        """Writes facts to a running trial; those of an ended one stay."""
        try:
            for name, value in facts.items():
                self.storage.set_trial_user_attr(self._id(number), name, value)
        except UpdateFinishedTrialError:
            log.debug("trial %d has ended already", number)

    def report(self, number: int, step: int, value: float) -> None:
        """Adds a value that the pruner sees."""
        self.storage.set_trial_intermediate_value(self._id(number), step, value)

    def tell(self, number: int, state: TrialState, values: list[float] | None) -> None:
        """Ends a trial, unless another process has done so."""
        with suppress(UpdateFinishedTrialError):  # in between
            self.study.tell(number, values, state, skip_if_finished=True)


def open_study(
    storage: BaseStorage, name: str, folder: Path, directions: list[str], made_for: dict[str, Any]
) -> SweepStudy:
    """The study ``name``, made where there is none yet.

    Raises:
        UserError: it was made for another space, other objectives or settings, or works in
            another folder.
    """
    with _alone(folder):  # two first starts: the second finds what the first has made
        study = optuna.create_study(
            storage=storage, study_name=name, directions=directions, load_if_exists=True  # type: ignore[arg-type]
        )  # fmt: skip
        found = study.user_attrs.get(MADE_FOR)
        if found is None:
            _check_unused(name, study, folder)
            study.set_user_attr(MADE_FOR, made_for)
        else:
            check_made_for(name, found, made_for)
    return SweepStudy(study, storage, folder)


@contextmanager
def _alone(folder: Path, what: str = "") -> Iterator[None]:
    with (folder / f".{what}lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            log.debug("this file system has no locks")
        yield


def _check_unused(name: str, study: optuna.Study, folder: Path) -> None:
    """Raises UserError where study or folder have trials that this project's sweep did not make."""
    if study.get_trials(deepcopy=False):
        found = f"{name}, a study with trials that no sweep of mtl-sharing has made"
        raise UserError("hydra.sweeper.study_name", found, "a name that no other study has")
    used = sorted(path.name for path in folder.glob("[0-9]*"))
    if used:
        found = f"{folder}, with trials that this study does not know ({used[0]})"
        raise UserError("hydra.sweep.dir", found, "the folder of this study, or a new one")


def is_reference(trial: FrozenTrial | Trial) -> bool:
    """Whether it is the trial of separate models."""
    return REFERENCE in trial.user_attrs


def trained(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Those that are trained themselves: they are no answer by an earlier one that is equal."""
    return [trial for trial in trials if SAME_AS not in trial.user_attrs]


def drawn_point(trial: FrozenTrial) -> Point:
    """The parameters of a trial, those that it was made with before any was drawn."""
    return dict(trial.system_attrs.get(_FIXED, trial.params))


def check_made_for(name: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises UserError where a study was made for something else than is wanted."""
    old, new = _flat(found), _flat(wanted)
    differ = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if differ:
        told = "; ".join(f"{key} {old.get(key)}, not {new.get(key)}" for key in differ[:3])
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise UserError(
            "hydra.sweeper.study_name", f"{name}, a study made with {told}{more}",
            "the settings it was made with, or another name: hydra.sweeper.study_name=NAME",
        )  # fmt: skip


def _flat(node: Any, path: str = "") -> dict[str, Any]:
    if isinstance(node, dict) and node:
        inner = (_flat(value, f"{path}.{key}" if path else str(key)) for key, value in node.items())
        return {key: value for each in inner for key, value in each.items()}
    return {path: node}
