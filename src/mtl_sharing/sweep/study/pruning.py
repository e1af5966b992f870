"""Pruning: the pruner for ``score.objective=keep``, and how all pruners see a sweep's study.

Optuna's pruners continue the best performers. ``keep`` looks for the cheapest regime that keeps
enough: a cheap one that keeps 99% must survive beside costly ones that keep 103%, and a costly
one is useless once a cheaper one has kept enough.
"""

import math
from collections.abc import Iterable
from copy import copy
from statistics import fmean

from optuna import Study, create_study
from optuna.pruners import BasePruner, NopPruner
from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.errors import check_range
from mtl_sharing.sweep.study.attributes import MADE_FOR, SAVED, is_reference
from mtl_sharing.sweep.study.study import SweepStudy

# Relative rounding error of the costs of equal plans.
_EQUAL = 1e-9


class KeepPruner(BasePruner):
    """Ends a trial that cannot win.

    - Before it trains: a complete trial that keeps enough costs less. A trial's own cost follows
      from its plan, with ``score.clock=flops`` only.
    - While it trains: its performance is too far below another's at the same evaluation. The
      other is the reference, of which it must keep ``score.keep`` in the end, or a complete trial
      that keeps enough at the same cost, which it must match in the end. At a fraction f of the
      training, ``slack * (1 - f)`` of the other's performance may be missing in addition.

    Args:
        slack: what a trial may still catch up. Of all splits of the bundled suite, fully trained,
            those that kept 99% in the end needed at most 0.14, the others were below 0.43.

    Raises:
        UserError: a slack outside 0 to 1.
    """

    def __init__(self, slack: float = 0.2) -> None:
        check_range("hydra.sweeper.pruner.slack", slack, 0, 1)
        self._slack = slack

    def is_too_costly(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether a complete trial that keeps enough costs less."""
        return any(
            rival.values[0] > trial.user_attrs[SAVED] * (1 + _EQUAL)
            for rival in _rivals(trial, _complete(study))
        )

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial ends here."""
        if self.is_too_costly(study, trial):
            return True
        complete = _complete(study)
        keep = float(study.user_attrs[MADE_FOR]["settings"]["score"]["keep"])
        return any(
            self._lags(trial, other, keep) for other in complete if is_reference(other)
        ) or any(self._lags(trial, rival, 1.0) for rival in _rivals(trial, complete))

    def _lags(self, trial: FrozenTrial, other: FrozenTrial, share: float) -> bool:
        """Whether the trial is too far below this share of the other's performance by now."""
        step, curve = trial.last_step, other.intermediate_values
        # A trial at its end is worth its result.
        if step is None or step not in curve or step == max(curve):
            return False
        least = share - self._slack * (1 - step / max(curve))
        return bool(trial.intermediate_values[step] < least * curve[step])


def _complete(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _rivals(trial: FrozenTrial, complete: list[FrozenTrial]) -> list[FrozenTrial]:
    """The complete trials that keep enough and cost no more.

    The objective of such a trial is the cost it saves, above 0. Of others it is what they lack.
    """
    saved = trial.user_attrs.get(SAVED)
    if saved is None:
        return []
    least = saved * (1 - _EQUAL)
    return [rival for rival in complete if rival.values and rival.values[0] >= least]


def should_prune(pruner: BasePruner, study: SweepStudy, number: int) -> bool:
    """Whether the pruner ends a running trial, by performance whatever the objectives are."""
    if isinstance(pruner, NopPruner):
        return False
    if isinstance(pruner, KeepPruner):  # compares the values of its objective
        return pruner.prune(study.copy(), study.trial(number))
    trials = study.trials()
    performances = _performance_study(study.name, trials)
    pruned = pruner.prune(performances, performances.get_trials(deepcopy=False)[number])
    # Attributes that pruners set on the copy (successive halving's rungs) are saved in the study.
    after = performances.get_trials(deepcopy=False)[number].system_attrs
    before = trials[number].system_attrs
    study.set_system_attrs(number, {k: v for k, v in after.items() if before.get(k) != v})
    return pruned


def _performance_study(name: str, trials: Iterable[FrozenTrial]) -> Study:
    """A study in memory whose one objective is the mean of the performances that a trial reported.

    Optuna's pruners refuse a study with several objectives.
    """
    # Hyperband derives a trial's bracket from the study's name and the trial's number.
    study = create_study(study_name=name, direction="maximize")
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
