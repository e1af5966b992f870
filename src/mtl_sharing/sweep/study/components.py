"""The sampler and the pruner of a sweep, from its config, and the study that a sampler sees."""

import warnings
from collections.abc import Container
from typing import Any

import optuna
from hydra.utils import instantiate
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.config.callables import PRUNERS, SAMPLERS
from mtl_sharing.errors import UserError, first_line
from mtl_sharing.sweep.settings import SweeperConfig, is_search
from mtl_sharing.sweep.study.attributes import is_reference


def make_pruner(options: SweeperConfig) -> BasePruner:
    """The config's pruner; raises UserError for an argument that it does not take."""
    pruner: BasePruner = _instantiate("hydra.sweeper.pruner", options.pruner, PRUNERS, {})
    return pruner


def make_sampler(options: SweeperConfig, number: int) -> BaseSampler:
    """The config's sampler for the trial ``number``.

    Raises:
        UserError: an argument that the sampler does not take.
    """
    if is_grid(options) or is_search(options):
        return RandomSampler(seed=0)  # never used: their trials start with all their values
    target, seed = str(options.sampler["_target_"]), options.sampler.get("seed")
    # A seeded sampler is made anew for each trial, so that a resumed sweep draws what an
    # uninterrupted one would have drawn. A quasi-random sequence needs one seed throughout.
    seeded = {} if seed is None or target.endswith("QMCSampler") else {"seed": seed + number}
    sampler: BaseSampler = _instantiate("hydra.sweeper.sampler", options.sampler, SAMPLERS, seeded)
    return sampler


def is_grid(options: SweeperConfig) -> bool:
    """Whether the sweep visits every point, in order."""
    return str(options.sampler.get("_target_", "")).endswith("GridSampler")


def _instantiate(where: str, config: Any, allowed: tuple[str, ...], extra: dict[str, Any]) -> Any:
    # An argument that is null keeps Optuna's own default.
    arguments = {name: value for name, value in config.items() if value is not None} | extra
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's, of experimental features
            return instantiate(arguments, _execution_whitelist_=allowed)
    except Exception as error:
        found = f"{config.get('_target_')}: {first_line(error.__cause__ or error)}"
        raise UserError(where, found, "what optuna takes") from None


class _SamplerView:
    """A storage that hides the trials that a sampler cannot learn from.

    The reference has no parameters, so that samplers of a joint space would find none in common.
    With several objectives samplers accept no pruned trials. This is no copy in memory, because
    samplers keep their own state (NSGA-II, CMA-ES, QMC) in the study's storage.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The storage's trials without the hidden ones."""
        trials = self._storage.get_all_trials(study_id, deepcopy, states)
        several = len(self._storage.get_study_directions(study_id)) > 1
        hidden = {TrialState.PRUNED} if several else set()
        return [t for t in trials if not is_reference(t) and t.state not in hidden]


def sampler_study(name: str, storage: BaseStorage, sampler: BaseSampler) -> optuna.Study:
    """The study ``name`` without the trials that its sampler cannot learn from."""
    return optuna.Study(name, _SamplerView(storage), sampler=sampler)  # type: ignore[arg-type]
