"""A pruner for ``score.objective=keep``, which asks for the cheapest regime that keeps enough.

Optuna's pruners let the best performers go on. Here the best performers are not what is looked
for: a cheap regime that keeps 99% must live beside dear ones that keep 103%, and a dear one is of
no use once a cheaper one has kept enough.
"""

from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.errors import check_range
from mtl_sharing.sweep.study import MADE_FOR, REFERENCE, SAVED


class KeepPruner(BasePruner):
    """Ends a trial that cannot win.

    - Before it trains: its cost is known from its plan, and a complete trial that keeps enough
      costs no more. With ``score.clock=flops`` alone.
    - While it trains: its performance lies further below the reference's at the same evaluation
      than ``slack`` allows. With f the share of the training that is done, it must reach
      ``score.keep - slack * (1 - f)`` of it.

    Args:
        slack: what a trial may still make up for.

    Raises:
        UserError: a slack outside 0 to 1.
    """

    def __init__(self, slack: float = 0.1) -> None:
        check_range("hydra.sweeper.pruner.slack", slack, 0, 1)
        self._slack = slack

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial ends here."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return _is_dear(trial, complete) or self._is_behind(study, trial, complete)

    def _is_behind(self, study: Study, trial: FrozenTrial, complete: list[FrozenTrial]) -> bool:
        references = [each for each in complete if REFERENCE in each.user_attrs]
        step = trial.last_step
        if step is None or not references or step not in references[0].intermediate_values:
            return False
        curve = references[0].intermediate_values
        keep = study.user_attrs[MADE_FOR]["settings"]["score"]["keep"]
        least = keep - self._slack * (1 - step / max(curve))
        return bool(trial.intermediate_values[step] < least * curve[step])


def _is_dear(trial: FrozenTrial, complete: list[FrozenTrial]) -> bool:
    """Whether a trial that keeps enough costs no more.

    The objective of such a trial is what it saves, above 0; of others it is what they lack.
    """
    saved = trial.user_attrs.get(SAVED)
    values = [each.values[0] for each in complete if each.values]
    return saved is not None and any(value > 0 and value >= saved for value in values)
