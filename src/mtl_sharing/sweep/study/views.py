"""Studies for pruners and samplers, which cannot use a sweep's study as it is."""

import math
from collections.abc import Container, Iterable
from copy import copy
from statistics import fmean
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.sweep.study.attributes import is_reference


def performance_study(name: str, trials: Iterable[FrozenTrial]) -> optuna.Study:
    """A study in memory whose one objective is the mean of the performances that a trial reported.

    Optuna's pruners refuse a study with several objectives.

    Args:
        trials: all of the study's, in the order of their numbers.
    """
    # Hyperband derives a trial's bracket from the study's name and the trial's number.
    study = optuna.create_study(study_name=name, direction="maximize")
    study.add_trials(map(_with_performance, trials))
    return study


def _with_performance(trial: FrozenTrial) -> FrozenTrial:
    scored = copy(trial)
    scored.values = None
    if trial.state == TrialState.COMPLETE:
        # A trial without reports is never the best.
        mean = fmean(trial.intermediate_values.values()) if trial.intermediate_values else math.nan
        scored.values = [-math.inf if math.isnan(mean) else mean]
    return scored


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
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """The storage's trials without the hidden ones."""
        trials = self._storage.get_all_trials(study_id, deepcopy, states)
        several = len(self._storage.get_study_directions(study_id)) > 1
        hidden = {TrialState.PRUNED} if several else set()
        return [t for t in trials if not is_reference(t) and t.state not in hidden]


def sampler_study(name: str, storage: BaseStorage, sampler: BaseSampler) -> optuna.Study:
    """The study ``name`` without the trials that its sampler cannot learn from."""
    return optuna.Study(name, _SamplerView(storage), sampler=sampler)  # type: ignore[arg-type]
