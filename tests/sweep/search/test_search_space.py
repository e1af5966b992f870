"""A sweep's space as candidates: features, costs, and what is left out."""

import numpy as np
import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.search.candidates import REFERENCE
from mtl_sharing.sweep.search.kernel import CATEGORY, DEPTH, SETTING, UNSET
from mtl_sharing.sweep.search.space import MOST, SearchSpace
from mtl_sharing.sweep.search.space import search_space as search_space_of
from mtl_sharing.sweep.space.spec import SweepSpec
from sweep_spaces import sweep_spec

SEARCH = ("hydra/sweeper=optuna", "hydra/sweeper/sampler=search", "score.objective=keep",
          "score.clock=flops", "encoder=tiny", "suite=bundled")  # fmt: skip


def search_space(spec: SweepSpec, seed: int) -> SearchSpace:
    own = spec.config.score
    return search_space_of(spec.space, spec.compose_trial, spec.reference, own, seed)


@pytest.fixture(scope="module")
def splits():
    return search_space(sweep_spec(*SEARCH, "split=0,3,6,12"), 0)


def test_separate_models_come_first_and_once(splits):
    assert splits.points == (None, {"split": 3}, {"split": 6}, {"split": 12})
    assert [trial.regime for trial in splits.trials] == ["I12", "S3-I9", "S6-I6", "S12"]
    assert splits.index(None) == REFERENCE and splits.index({"split": 12}) == 3
    assert splits.index({"split": 1}) is None


def test_a_space_of_separate_models_alone_has_nothing_to_decide():
    with pytest.raises(UserError, match="separate models alone"):
        search_space(sweep_spec(*SEARCH, "split=0,0"), 0)


def test_features_of_splits_are_shares_of_the_layers(splits):
    own = splits.candidates
    assert own.kinds == (DEPTH, DEPTH, DEPTH)
    assert own.features[:, 1] == pytest.approx([0, 0.25, 0.5, 1])
    assert not own.features[:, [0, 2]].any()


def test_costs_fall_with_what_is_shared(splits):
    own = splits.candidates
    assert own.costs[REFERENCE] == 1 and (np.diff(own.costs) < 0).all()
    # Three tasks: all shared costs a little more than a third.
    assert 1 / 3 < own.costs[-1] < 0.34
    assert own.training_costs == pytest.approx(np.ones(4), abs=0.02)


@pytest.mark.slow
def test_a_cost_is_the_saving_that_a_trial_is_scored_with(splits):
    from mtl_sharing.score.parameters import plan_cost

    spec = sweep_spec(*SEARCH, "split=0,3,6,12", "score.time_exponent=0")
    own = search_space(spec, 0)
    sizes = [plan_cost(trial.run_spec.architecture).model_bytes for trial in own.trials]
    assert own.candidates.costs == pytest.approx(np.array(sizes) / sizes[0])


@pytest.mark.slow
def test_kinds_samplers_and_sizes_have_columns_of_their_own():
    spec = sweep_spec("+sweep=search", "encoder=tiny", "suite=bundled")
    own = search_space(spec, 0)
    candidates = own.candidates
    assert candidates.kinds[:3] == (DEPTH, DEPTH, DEPTH)
    assert candidates.kinds[3:] == (CATEGORY, CATEGORY)
    assert (candidates.features[REFERENCE, 3:] == UNSET).all()
    known = candidates.features[candidates.features != UNSET]
    assert known.min() >= 0
    # 12 splits, 11 late ones and PALs, with each sampler; the twelfth late one is split 12.
    assert len(candidates) == 1 + 3 * (12 + 11 + 1)


@pytest.mark.slow
def test_a_large_space_is_the_same_for_equal_seeds():
    spec = sweep_spec("+sweep=split_alpha", "encoder=tiny", "suite=bundled")
    one, same, other = (search_space(spec, seed) for seed in (0, 0, 1))
    assert one.points == same.points != other.points
    assert len({p["split"] for p in one.points if p}) == 12  # 0 is separate models
    assert len(one.candidates) <= MOST + 1


def test_sizes_that_are_fractions_are_ordered():
    spec = sweep_spec("+sweep=pals_size", "encoder=tiny", "suite=bundled")
    own = search_space(spec, 0)
    column = own.candidates.features[1:, -1]
    assert own.candidates.kinds[-1] == SETTING
    assert (np.diff(column) > 0).all() and column[0] == 0 and column[-1] == 1
