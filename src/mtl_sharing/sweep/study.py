"""The study of a sweep: its trials, what it was made for, and how two sweeps share it."""

import fcntl
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from hydra.utils import instantiate
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.life import ALIVE, mark
from mtl_sharing.sweep.settings import PRUNERS, SAMPLERS, SweeperConfig

log = logging.getLogger(__name__)

MADE_FOR = "made for"
REFERENCE, SAME_AS, IDENTITY, REASON = "reference", "same as", "identity", "reason"
OVERRIDES, REGIME, ATTEMPTS = "overrides", "regime", "attempts"
FIGURES, SECONDS = "figures", "seconds"
# What the regime saves, by the score's ratios, where that is known before it trains.
SAVED = "saved"


class _Performances:
    """A storage in which every study has one direction: up."""

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Of the performances that trials report."""
        return [StudyDirection.MAXIMIZE]


def performance_study(name: str, storage: BaseStorage) -> optuna.Study:
    """A study as its pruner sees it: by the performances reported, whatever its objectives are.

    Optuna's pruners refuse a study with several objectives.
    """
    return optuna.Study(name, _Performances(storage))  # type: ignore[arg-type]


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
    seed = options.sampler.get("seed")
    given = {} if seed is None else {"seed": seed + number}
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
class Book:
    """A study with the sweep's own conventions over it.

    Attributes:
        folder: the sweep's; a trial's number is the name of its folder in it.
    """

    study: optuna.Study
    storage: RDBStorage
    folder: Path

    @property
    def study_id(self) -> int:
        """Of the study in its storage."""
        return self.storage.get_study_id_from_name(self.study.study_name)

    def trials(self) -> list[FrozenTrial]:
        """All trials as they stand, in the order of their numbers."""
        return self.storage.get_all_trials(self.study_id, deepcopy=False)

    def trial(self, number: int) -> FrozenTrial:
        """One trial as it stands."""
        return self.trials()[number]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other sweep in this folder asks for or takes up a trial meanwhile."""
        with (self.folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                log.debug("this file system has no locks")
            yield

    def ask(self, sampler: BaseSampler, fixed: Mapping[str, Any] | None = None) -> Trial:
        """A new trial, with a sign of life from the first moment."""
        if fixed is not None:
            self.study.enqueue_trial(dict(fixed))
        self.study.sampler = sampler
        trial = self.study.ask()
        trial.set_user_attr(ALIVE, mark(0, job=False))
        return trial

    def note(self, number: int, **facts: Any) -> None:
        """Writes facts to a running trial; those of an ended one stay."""
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(self.study_id, number)
        try:
            for name, value in facts.items():
                self.storage.set_trial_user_attr(trial_id, name, value)
        except UpdateFinishedTrialError:
            log.debug("trial %d has ended already", number)

    def report(self, number: int, step: int, value: float) -> None:
        """Adds a value that the pruner sees."""
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(self.study_id, number)
        self.storage.set_trial_intermediate_value(trial_id, step, value)

    def tell(self, number: int, state: TrialState, values: list[float] | None) -> None:
        """Ends a trial, unless another process has done so."""
        with suppress(UpdateFinishedTrialError):  # in between
            self.study.tell(number, values, state, skip_if_finished=True)


def open_book(
    storage: RDBStorage, name: str, folder: Path, directions: list[str], made_for: dict[str, Any]
) -> Book:
    """The study ``name``, made where there is none yet.

    Raises:
        UserError: it was made for another space, other objectives or settings, or works in
            another folder.
    """
    study = optuna.create_study(
        storage=storage, study_name=name, directions=directions, load_if_exists=True  # type: ignore[arg-type]
    )  # fmt: skip
    found = study.user_attrs.get(MADE_FOR)
    if found is None:
        study.set_user_attr(MADE_FOR, made_for)
    else:
        check_made_for(name, found, made_for)
    return Book(study, storage, folder)


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
