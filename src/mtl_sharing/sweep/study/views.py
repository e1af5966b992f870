"""A study as pruners and samplers see it, where they could not take it as it is."""

from collections.abc import Container
from statistics import fmean
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

REFERENCE = "reference"


class _View:
    """A storage that answers some questions otherwise."""

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


class _Performances(_View):
    """Every study has one direction, up, and a trial's value is the mean of its reports."""

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Of the performances that trials report."""
        return [StudyDirection.MAXIMIZE]

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """The complete trial that has reported the best performances.

        Raises:
            ValueError: none has.
        """
        complete = self._storage.get_all_trials(study_id, False, (TrialState.COMPLETE,))
        reported = [trial for trial in complete if trial.intermediate_values]
        return max(reported, key=lambda trial: fmean(trial.intermediate_values.values()))


class _Drawn(_View):
    """Only trials that a sampler can learn from.

    The reference has no parameters, which would leave samplers of a joint space nothing in common;
    and with several objectives they take no pruned trials.
    """

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """As the storage's."""
        found = self._storage.get_all_trials(study_id, deepcopy, states)
        several = len(self._storage.get_study_directions(study_id)) > 1
        hidden = {TrialState.PRUNED} if several else set()
        return [t for t in found if REFERENCE not in t.user_attrs and t.state not in hidden]


def performance_study(name: str, storage: BaseStorage) -> optuna.Study:
    """For a pruner: by the performances reported, whatever the objectives are.

    Optuna's pruners refuse a study with several objectives.
    """
    return optuna.Study(name, _Performances(storage))  # type: ignore[arg-type]


def drawn_study(name: str, storage: BaseStorage, sampler: BaseSampler) -> optuna.Study:
    """For a sampler: without the trials that it did not draw, or cannot read."""
    return optuna.Study(name, _Drawn(storage), sampler=sampler)  # type: ignore[arg-type]
