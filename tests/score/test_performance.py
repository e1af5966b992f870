"""Constant answers' performance, and what is kept above it, by hand."""

from types import SimpleNamespace

import pytest

from mtl_sharing.job import result
from mtl_sharing.score.flops import OperationCounts
from mtl_sharing.score.objectives import Multipliers, keep_objective, objective_values
from mtl_sharing.score.performance import (
    flags,
    floor_performance,
    is_at_floor,
    kept,
    kept_above_floor,
    tasks_at_floor,
    unit,
)
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.sweep.study.records import References

TASKS = {
    "sst": {"metric": "accuracy", "value": 0.5, "floor": 0.25},
    "quora": {"metric": "f1", "value": 0.35, "floor": 0.35},
    "sts": {"metric": "pearson", "value": 0.4, "floor": 0.0},
}


def test_unit_brings_correlations_to_the_scale_of_accuracy():
    assert [unit("pearson", r) for r in (-1, 0, 1)] == [0, 0.5, 1]
    assert unit("spearman", 0.5) == 0.75
    assert (unit("accuracy", 0.3), unit("mcc", 0.3)) == (0.3, 0.3)


def test_a_constant_answer_s_performance_is_the_same_mean():
    assert floor_performance(TASKS, "unit") == pytest.approx((0.25 + 0.35 + 0.5) / 3)
    assert floor_performance(TASKS, "raw") == pytest.approx((0.25 + 0.35 + 0) / 3)
    without = TASKS | {"sst": {"metric": "accuracy", "value": 0.5}}
    assert floor_performance(without, "unit") is None
    assert floor_performance({}, "unit") is None


@pytest.mark.parametrize(("performance", "reference", "floor", "wanted"), [
    (0.6, 0.8, 0.4, 0.5), (0.8, 0.8, 0.4, 1.0), (0.4, 0.8, 0.4, 0.0), (0.3, 0.8, 0.4, -0.25),
    (0.9, 0.8, 0.4, 1.25), (0.5, 0.4, 0.4, None), (0.5, 0.3, 0.4, None), (0.5, None, 0.4, None),
    (0.5, 0.8, None, None),
])  # fmt: skip
def test_what_is_kept_above_a_constant_answer(performance, reference, floor, wanted):
    found = kept_above_floor(performance, reference, floor)
    assert found == (None if wanted is None else pytest.approx(wanted))


@pytest.mark.parametrize(("performance", "reference", "wanted"), [
    (0.6, 0.8, 0.75), (0.0, 0.8, 0.0), (-0.2, 0.8, -0.25),
    (0.0, 0.0, None), (0.5, 0.0, None), (-0.2, -0.4, None), (0.5, -0.4, None), (0.5, None, None),
])  # fmt: skip
def test_what_is_kept_needs_a_reference_above_0(performance, reference, wanted):
    found = kept(performance, reference)
    assert found == (None if wanted is None else pytest.approx(wanted))
    shares = References(reference, reference).kept(
        {"performance": performance, "dev_performance": performance}
    )
    assert shares["kept"] == shares["dev_kept"] == found


def test_nothing_is_kept_of_a_reference_that_is_not_above_0():
    metrics = {"performance": 0.8, "memory": 0.5, "time": 1.0}
    for reference in (0.0, -0.3):
        assert objective_values(["keep"], metrics, ScoreConfig(), reference) == [-0.99]
        flagged = metrics | {"at_floor": "sst"}
        assert objective_values(["keep"], flagged, ScoreConfig(), reference) == [-1.99]


def test_a_baseline_whose_answers_are_all_wrong_has_a_result(monkeypatch):
    monkeypatch.setattr(result, "multipliers", lambda *arguments: Multipliers(1.0, 1.0))
    monkeypatch.setattr(result, "_baseline", lambda *arguments: {})
    run_spec = SimpleNamespace(
        config=SimpleNamespace(score=ScoreConfig()), settings={"score": {}}, is_separate=True,
        architecture="I12", baseline="I12",
    )  # fmt: skip
    tasks = {"sst": {"metric": "accuracy", "value": 0.0, "floor": 0.25}}
    evaluation = SimpleNamespace(
        performance=0.0, performance_raw_r=0.0, tasks=tasks, floor_performance=lambda kind: 0.25
    )
    operations = SimpleNamespace(regime=OperationCounts(1.0, {}, 1, 1.0))
    found = result.scores(run_spec, evaluation, None, operations, {})
    assert (found["kept"], found["kept_above_floor"], found["score"]) == (None, None, 0.0)
    assert found["objectives"]["keep"] == pytest.approx(-0.99 - 1)


def test_tasks_at_their_floor_and_what_is_said_of_them():
    assert tasks_at_floor(TASKS) == ["quora"]
    assert is_at_floor(0.1 + 0.2, 0.3) and is_at_floor(-0.2, 0.0) and not is_at_floor(0.1, None)
    assert flags(["sst", "sts"], ["quora"]) == (
        "sst, sts at or below a constant answer; quora untrained (loss weight 0)"
    )
    assert flags([], []) == ""


def test_a_regime_with_a_task_at_its_floor_keeps_nothing():
    honest, short = keep_objective(0.99, 0.99, 1.5), keep_objective(0.2, 0.99, 9.0)
    flattered = [keep_objective(kept, 0.99, 9.0, at_floor=n) for kept in (1.2, 0.5) for n in (1, 2)]
    assert all(value < short < 0 < honest for value in flattered)
    assert flattered == pytest.approx([-1, -2, -1.49, -2.49])


def test_the_sweep_s_objective_counts_the_floors_of_its_metrics():
    metrics = {"performance": 0.8, "memory": 0.5, "time": 1.0}
    score = ScoreConfig()
    assert objective_values(["keep"], metrics | {"at_floor": ""}, score, 0.8) == [2.0]
    assert objective_values(["keep"], metrics, score, 0.8) == [2.0]  # of an old study
    assert objective_values(["keep"], metrics | {"at_floor": "sst sts"}, score, 0.8) == [-2.0]
