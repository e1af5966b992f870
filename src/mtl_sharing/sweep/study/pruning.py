"""A pruner for ``score.objective=keep``, which asks for the cheapest regime that keeps enough.

Optuna's pruners let the best performers go on. Here the best performers are not what is looked
for: a cheap regime that keeps 99% must live beside dear ones that keep 103%, and a dear one is of
no use once a cheaper one has kept enough.
"""

from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.errors import check_range
from mtl_sharing.sweep.study.study import MADE_FOR, SAVED, is_reference

# Costs of equal plans may differ by as much, from rounding.
_EQUAL = 1e-9


class KeepPruner(BasePruner):
    """Ends a trial that cannot win.

    - Before it trains: its cost is known from its plan, and a complete trial that keeps enough
      costs less. With ``score.clock=flops`` alone.
    - While it trains: its performance lies too far below another's at the same evaluation. The
      other is the reference, of which it must keep ``score.keep`` in the end, or a complete trial
      that keeps enough at the same cost, which it must reach in the end. With f the share of the
      training that is done, ``slack * (1 - f)`` of the other's performance may be lacking more.

    Args:
        slack: what a trial may still make up for. Of every split of the bundled suite, fully
            trained, those that kept 99% in the end would have lived with 0.14, the others died
            below 0.43.

    Raises:
        UserError: a slack outside 0 to 1.
    """

    def __init__(self, slack: float = 0.2) -> None:
        check_range("hydra.sweeper.pruner.slack", slack, 0, 1)
        self._slack = slack

    def is_too_dear(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether a complete trial that keeps enough costs less."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return any(
            rival.values[0] > trial.user_attrs[SAVED] * (1 + _EQUAL)
            for rival in _rivals(trial, complete)
        )

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial ends here."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        rivals = _rivals(trial, complete)
        if self.is_too_dear(study, trial):
            return True
        references = [each for each in complete if is_reference(each)]
        return any(self._lags(trial, each, _keep(study)) for each in references) or any(
            self._lags(trial, rival, 1.0) for rival in rivals
        )

    def _lags(self, trial: FrozenTrial, other: FrozenTrial, share: float) -> bool:
        """Whether it is too far below this share of the other's performance by now."""
        step, curve = trial.last_step, other.intermediate_values
        # One that has come to its end is worth its result.
        if step is None or step not in curve or step == max(curve):
            return False
        least = share - self._slack * (1 - step / max(curve))
        return bool(trial.intermediate_values[step] < least * curve[step])


def _keep(study: Study) -> float:
    return float(study.user_attrs[MADE_FOR]["settings"]["score"]["keep"])


def _rivals(trial: FrozenTrial, complete: list[FrozenTrial]) -> list[FrozenTrial]:
    """The complete trials that keep enough and cost no more.

    The objective of such a trial is what it saves, above 0; of others it is what they lack.
    """
    saved = trial.user_attrs.get(SAVED)
    if saved is None:
        return []
    least = saved * (1 - _EQUAL)
    return [each for each in complete if each.values and each.values[0] >= least]
