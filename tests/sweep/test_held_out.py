"""How much the choice of held-out examples moves regimes."""

import numpy as np
import pytest

from mtl_sharing.report.inputs.runs import read_runs
from mtl_sharing.sweep.loop.held_out import HeldOutNoise, _performances
from mtl_sharing.sweep.search.candidates import Training
from report_runs import Maker, change_json, shifted


@pytest.fixture
def make_run(hybrid_run, tmp_path) -> Maker:
    return Maker(hybrid_run.folder, tmp_path / "sweep")


def training(number, candidate, seed=0):
    return Training(candidate, seed, 0.8, number)


@pytest.mark.parametrize("own", [0.0, 0.01])
def test_the_part_of_seeds_is_taken_off(own, tmp_path):
    """Resamples move each regime by ``own``, each training by .02 more, and all by .05."""
    random = np.random.default_rng(0)
    regimes, common = random.normal(0, own, (5, 4000)), random.normal(0, 0.05, 4000)
    resampled = {
        number: common + regimes[number % 5] + random.normal(0, 0.02, 4000) for number in range(20)
    }
    noise = HeldOutNoise(tmp_path, _resampled=resampled)
    trainings = [training(number, number % 5, number // 5) for number in range(20)]
    assert noise.deviation(trainings) == pytest.approx(own, abs=0.003)
    # With one training of each, the seeds' part cannot be told apart.
    assert noise.deviation(trainings[:5]) == pytest.approx(np.hypot(own, 0.02), rel=0.1)


def test_fewer_examples_held_out_than_in_dev_move_it_more(make_run, tmp_path):
    make_run("0", "I12", 0, answers=shifted(1))
    run = read_runs([tmp_path / "sweep" / "0"]).finished[0]
    plain = _performances(run, "unit")
    expected = 0.0
    for task in run.result["tasks"].values():
        value, examples = task["value"], task["examples"]
        if task["metric"] == "accuracy":
            expected += value * (1 - value) / examples
    tasks = run.result["tasks"]
    accuracies = [t for t in tasks.values() if t["metric"] == "accuracy"]
    assert accuracies and plain.mean() == pytest.approx(0, abs=1e-12)
    assert plain.var() * len(tasks) ** 2 > 0.8 * expected
    quarter = {name: {"examples": task["examples"] / 4} for name, task in tasks.items()}
    run.result["selection"] = {"tasks": quarter}
    assert _performances(run, "unit") == pytest.approx(2 * plain)


def test_equal_answers_differ_on_no_examples_and_a_lost_run_is_left_out(make_run, tmp_path):
    for number, regime in enumerate(("I12", "S6-I6", "S6-I6")):
        make_run(str(number), regime, number, answers=shifted(3))
    trainings = [training(0, 0), training(1, 6), training(2, 6, 1), training(7, 12)]
    noise = HeldOutNoise(tmp_path / "sweep")
    assert noise.deviation(trainings) == 0
    assert noise.deviation(trainings[:1]) == 0
    make_run("4", "S12", 4, answers=shifted(9))
    assert noise.deviation([*trainings, training(4, 12)]) > 0


@pytest.mark.parametrize("change", [
    {"selection": {"tasks": {}}}, {"selection": [1]}, {"tasks.sts.examples": "x"},
    {"tasks.sts.undefined": {"pearson": "one value alone"}},
])  # fmt: skip
def test_a_run_that_tells_nothing_is_named(make_run, tmp_path, change):
    for number, regime in enumerate(("I12", "S6-I6", "S12")):
        make_run(str(number), regime, number, answers=shifted(number + 2))
    noise = HeldOutNoise(tmp_path / "sweep")
    trainings = [training(0, 0), training(1, 6), training(2, 12)]
    assert noise.deviation(trainings) > 0 and noise.unknown(trainings) == []
    change_json(tmp_path / "sweep" / "1" / "result.json", change)
    (tmp_path / "sweep" / "2" / "predictions.parquet").unlink()
    changed = HeldOutNoise(tmp_path / "sweep")
    assert changed.unknown(trainings) == [1, 2] and changed.deviation(trainings) == 0
