"""The pruner for score.objective=keep, on studies made by hand; Optuna's own through ours."""

from pathlib import Path
from random import Random
from statistics import fmean

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.study.attributes import MADE_FOR, REFERENCE, SAVED
from mtl_sharing.sweep.study.components import make_pruner
from mtl_sharing.sweep.study.pruning import KeepPruner, should_prune
from mtl_sharing.sweep.study.study import SweepStudy

CURVE = {1: 0.4, 2: 0.6, 3: 0.7, 4: 0.75, 5: 0.8}


def trial(curve=None, value=None, state=TrialState.COMPLETE, **facts):
    return create_trial(
        state=state,
        values=None if value is None else [value],
        params={"split": 0},
        distributions={"split": IntDistribution(0, 3)},
        intermediate_values=curve or {},
        user_attrs=facts,
    )


@pytest.fixture
def study() -> optuna.Study:
    """With a reference that ends at 0.8, of which 0.9 is to be kept."""
    made = optuna.create_study(direction="maximize")
    made.set_user_attr(MADE_FOR, {"settings": {"score": {"keep": 0.9}}})
    made.add_trial(trial(CURVE, 1.0, **{REFERENCE: True, SAVED: 1.0}))
    return made


def pruned(study, pruner, curve, **facts) -> bool:
    return pruner.prune(study, trial(curve, state=TrialState.RUNNING, **facts))


@pytest.mark.parametrize(("step", "least"), [(1, 0.9 - 0.2 * 0.8), (3, 0.9 - 0.2 * 0.4)])
def test_a_trial_may_lag_by_the_slack_that_is_left(study, step, least):
    pruner = KeepPruner(slack=0.2)
    before = {k: v for k, v in CURVE.items() if k < step}
    assert not pruned(study, pruner, before | {step: CURVE[step] * (least + 1e-6)})
    assert pruned(study, pruner, before | {step: CURVE[step] * (least - 1e-6)})


def test_nothing_is_judged_before_the_reference_or_a_report():
    bare = optuna.create_study(direction="maximize")
    bare.set_user_attr(MADE_FOR, {"settings": {"score": {"keep": 0.9}}})
    assert not pruned(bare, KeepPruner(), {1: 0.0})
    assert not pruned(bare, KeepPruner(), {})


def test_at_its_end_a_trial_is_complete(study):
    assert not pruned(study, KeepPruner(), dict.fromkeys(CURVE, 0.8) | {5: 0.0})


def test_what_costs_more_than_a_regime_that_keeps_enough_cannot_win(study):
    study.add_trial(trial(CURVE, 1.7, **{SAVED: 1.7}))  # keeps enough
    study.add_trial(trial(CURVE, -0.02, **{SAVED: 2.9}))  # does not
    pruner = KeepPruner()
    assert pruned(study, pruner, {}, **{SAVED: 1.2})
    assert not pruned(study, pruner, {}, **{SAVED: 1.8})
    assert not pruned(study, pruner, CURVE, **{SAVED: 2.9})
    assert not pruned(study, pruner, {})


def test_at_equal_cost_a_trial_must_keep_up_with_the_one_that_keeps_enough(study):
    higher = {step: value * 1.1 for step, value in CURVE.items()}
    study.add_trial(trial(higher, 1.7, **{SAVED: 1.7}))
    pruner, same = KeepPruner(slack=0.1), {SAVED: 1.7 * (1 + 1e-12)}
    assert not pruned(study, pruner, {}, **same)
    assert not pruned(study, pruner, higher, **same)
    # 0.94 of the rival's after three of five evaluations: 0.96 would do.
    assert pruned(study, pruner, {3: CURVE[3] * 1.1 * 0.94}, **same)
    assert not pruned(study, pruner, {3: CURVE[3] * 1.1 * 0.97}, **same)
    assert not pruned(study, pruner, {3: CURVE[3] * 1.1 * 0.94}, **{SAVED: 1.8})


def test_a_slack_is_a_share():
    with pytest.raises(UserError, match="slack"):
        KeepPruner(slack=1.5)


PRUNERS = [
    optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    optuna.pruners.HyperbandPruner(min_resource=1, max_resource=5, reduction_factor=3),
    optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=0),
    optuna.pruners.PercentilePruner(50.0, n_startup_trials=1, n_warmup_steps=0),
]


def sweep_study(directions) -> SweepStudy:
    storage = optuna.storages.InMemoryStorage()
    made = optuna.create_study(storage=storage, directions=directions, study_name="a")
    return SweepStudy(made, storage, Path(), "memory")


@pytest.mark.parametrize("pruner", PRUNERS, ids=lambda pruner: type(pruner).__name__)
@pytest.mark.parametrize("directions", [["maximize"], ["minimize", "minimize"]])
def test_optunas_pruners_see_performances_whatever_the_objectives(pruner, directions):
    """The last of many is ended if it is the worst, and goes on if it is the best."""
    study = sweep_study(directions)

    def ends(value: float) -> bool:
        number = study.add_trial({})
        pruned = False
        for step in range(1, 6):
            study.report(number, step, value)
            if should_prune(pruner, study, number):
                pruned = True
                break
        study.tell(number, TrialState.COMPLETE, [value] * len(directions))
        return pruned

    for number in range(12):
        ends(0.3 + 0.01 * number)
    assert [ends(0.01) for _ in range(4)].count(True) >= 3  # Hyperband spares a bracket
    assert not ends(0.99)


WILCOXON = {"_target_": "optuna.pruners.WilcoxonPruner", "p_threshold": 0.2}


@pytest.mark.parametrize("pruner", [*PRUNERS, make_pruner(SweeperConfig(pruner=WILCOXON))],
                         ids=lambda pruner: type(pruner).__name__)  # fmt: skip
def test_decisions_are_those_of_optuna_over_a_study_of_performances(pruner):
    """Where the objective is the mean performance, Optuna can also prune in the study itself."""
    random, ours = Random(3), sweep_study(["maximize"])
    direct = optuna.create_study(direction="maximize", study_name="a", pruner=pruner)
    decisions = []
    for _ in range(30):
        level, curve = random.random(), []
        trial, number = direct.ask(), ours.add_trial({})
        for step in range(1, 6):
            curve.append(level + 0.3 * random.random())
            trial.report(curve[-1], step)
            ours.report(number, step, curve[-1])
            decisions.append((trial.should_prune(), should_prune(pruner, ours, number)))
            if decisions[-1][0]:
                break
        state = TrialState.PRUNED if decisions[-1][0] else TrialState.COMPLETE
        values = None if decisions[-1][0] else [fmean(curve)]
        direct.tell(trial, values, state)
        ours.tell(number, state, values)
    assert all(theirs == same for theirs, same in decisions)
    assert len(set(decisions)) == 2  # some go on, some end
    rungs = [trial.system_attrs for trial in ours.trials()]
    assert rungs == [trial.system_attrs for trial in direct.trials]
