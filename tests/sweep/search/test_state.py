"""What the trials of a search count for."""

import numpy as np
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from mtl_sharing.sweep.loop.search import read_state
from mtl_sharing.sweep.search.candidates import Candidates, Training
from mtl_sharing.sweep.search.kernel import DEPTH
from mtl_sharing.sweep.search.space import SearchSpace
from mtl_sharing.sweep.study.attributes import METRICS, REFERENCE, SAME_AS, SEED

POINTS = (None, {"split": 1}, {"split": 2})
SPACE = SearchSpace(
    POINTS, (), Candidates(np.array([[0.0], [0.5], [1.0]]), (DEPTH,), np.ones(3), np.ones(3))
)


def trial(split, seed, performance=None, state=TrialState.COMPLETE, **attributes):
    """A trial of a split, or of separate models for None."""
    attributes |= {SEED: seed} | ({} if split else {REFERENCE: True})
    if performance is not None:
        metrics = {"performance": performance, "at_floor": attributes.pop("at_floor", "")}
        attributes[METRICS] = metrics
    return create_trial(
        state=state, value=1.0 if state == TrialState.COMPLETE else None, user_attrs=attributes,
        params={"split": split} if split else {},
        distributions={"split": IntDistribution(0, 3)} if split else {},
    )  # fmt: skip


def test_each_training_counts_once():
    state = read_state(SPACE, [
        trial(None, 0, 0.8), trial(1, 0, 0.7), trial(2, 4, None, TrialState.RUNNING),
        trial(3, 0, 0.7),  # not in the space
    ])  # fmt: skip
    assert [(t.candidate, t.seed, t.performance) for t in state.trainings] == [
        (0, 0, 0.8), (1, 0, 0.7),
    ]  # fmt: skip
    assert isinstance(state.trainings[0], Training)
    assert state.running == ((2, 4),)
    assert not state.candidates.barred and not state.lost_seeds


@pytest.mark.parametrize(("attributes", "counted"), [
    ({"state": TrialState.FAIL}, 0),
    ({"performance": 0.7, "at_floor": "sst"}, 1),
    ({"performance": 0.7, SAME_AS: 1}, 0),
])  # fmt: skip
def test_what_fails_is_at_the_floor_or_equals_another_is_no_answer(attributes, counted):
    state = read_state(SPACE, [trial(None, 0, 0.8), trial(2, 0, **attributes)])
    assert state.candidates.barred == {2}
    assert len(state.trainings) == 1 + counted


def test_a_seed_that_separate_models_fail_with_is_dropped():
    state = read_state(SPACE, [trial(None, 0, 0.8), trial(None, 3, state=TrialState.FAIL)])
    assert state.lost_seeds == {3} and not state.candidates.barred
