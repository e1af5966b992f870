"""``score.clock=flops``: a score that is counted, not measured."""

import pytest

from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.measurement import count_operations
from mtl_sharing.job.phase_settings import main_settings
from mtl_sharing.job.phases import make_learner
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.job.timing import timed_text
from mtl_sharing.sampling.samplers import RoundRobin
from mtl_sharing.score.flops import prediction_flops, training_flops
from mtl_sharing.score.layer_flops import TextSize
from support import QUICK, load_config

COUNTED = (*QUICK, "score.clock=flops", "encoder.layers=4", "split=2")


def unmeasured(*_, **__):
    raise AssertionError("something was measured")


@pytest.fixture
def counted(mtl_train, monkeypatch):
    """The result of a run that may measure nothing, and what it printed."""
    monkeypatch.setattr("mtl_sharing.job.measurement.time_side_by_side", unmeasured)

    def call(*words):
        done = mtl_train(*COUNTED, *words)
        assert done.code == 0, done.err
        return done

    return call


@pytest.mark.parametrize("pairs", [0, 5])
def test_the_score_is_there_without_a_measurement(counted, pairs):
    done = counted(f"score.pairs={pairs}")
    result, ratios = done.result, done.result["multipliers"]
    flops, unshared = result["flops"], result["baseline"]["flops"]
    sizes = result["baseline"]["model_bytes"] / result["memory"]["model_bytes"]
    assert ratios["memory"] == sizes > 1
    assert ratios["time"] == unshared["train_per_example"] / flops["train_per_example"]
    assert result["score"] == result["performance"] * ratios["memory"] * ratios["time"]
    assert result["time"]["predict_all_s"] is None
    assert "x the time by FLOPs" in done.out


def test_two_runs_of_a_plan_count_alike(counted):
    first, second = (counted("seed=3").result for _ in range(2))
    assert first["flops"] == second["flops"]
    assert first["multipliers"] == second["multipliers"]


def test_time_is_that_of_prediction_where_asked(counted):
    result = counted("score.time=predict").result
    ratio = result["baseline"]["flops"]["predict_all"] / result["flops"]["predict_all"]
    assert result["multipliers"]["time"] == ratio > 1


@pytest.mark.parametrize(("plan", "saves"), [("S4", False), ("S2-I2", False), ("F2-S2", True)])
def test_sharing_alone_saves_no_operation_of_a_training_step(prepared, plan, saves):
    run_spec, inputs = prepared("sharing=plan", f"sharing.plan={plan}")
    both = count_operations(run_spec, inputs, main_settings(run_spec, inputs).schedule)
    assert (both.ratio("train") > 1) == saves
    assert both.ratio("train") >= 1
    assert both.ratio("predict") > 1


def test_separate_models_are_their_own_baseline(counted):
    result = counted("sharing=individual").result
    assert result["multipliers"] == {"memory": 1.0, "time": 1.0}
    assert result["flops"] == result["baseline"]["flops"]


def test_a_measured_score_tells_the_counts_as_well(mtl_train):
    words = "encoder.layers=4", "split=2", "score.pairs=1"
    done = mtl_train(*QUICK, *words)
    assert done.code == 0, done.err
    result = done.result
    other = mtl_train(*COUNTED).result
    assert result["flops"] == other["flops"]
    assert result["baseline"]["flops"] == other["baseline"]["flops"]
    assert result["time"]["predict_all_s"] > 0
    assert "FLOPs" not in done.out


def test_a_peak_cannot_be_counted(mtl_train):
    done = mtl_train(*COUNTED, "score.memory=peak_train")
    assert done.code == 2
    assert "score.memory" in done.err
    assert not list(done.cwd.glob("outputs/*/*/result.json"))


@pytest.fixture
def prepared(tmp_path):
    def make(*words):
        run_spec = resolve_spec(load_config(*COUNTED, *words))
        return run_spec, load_inputs(run_spec, tmp_path)

    return make


def test_an_example_is_the_mean_over_the_training_set(prepared):
    """By the texts one by one."""
    run_spec, inputs = prepared("pairing=separate")
    each = {task: [] for task in run_spec.specs}
    for task, data in inputs.train.items():
        for number in range(len(data)):
            texts = {task: TextSize.of(data.collate([number]).text.lengths)}
            each[task].append(training_flops(run_spec.architecture, texts)[task])
    found = count_operations(run_spec, inputs, main_settings(run_spec, inputs).schedule).regime
    assert found.train_by_task == pytest.approx({t: sum(f) / len(f) for t, f in each.items()})


def test_a_step_has_a_batch_of_every_task_that_counts(prepared):
    words = (
        "task.quora.batch_size=13",
        "loss.weighting=fixed",
        "loss.weights={sst: 0, quora: 1, sts: 2}",
    )
    run_spec, inputs = prepared("sampler=proportional", *words)
    both = count_operations(run_spec, inputs, main_settings(run_spec, inputs).schedule)
    each = both.regime.train_by_task
    assert set(each) == {"quora", "sts"}
    wanted = (13 * each["quora"] + 4 * each["sts"]) / 17
    assert both.regime.train_per_example == pytest.approx(wanted)


def test_predictions_are_of_the_text_that_a_measurement_reads(prepared):
    run_spec, inputs = prepared()
    lengths = timed_text(inputs.dev).lengths
    assert len(lengths) == 3 * 2 * 32 - 32  # 32 of each task, two texts a pair
    wanted = prediction_flops(run_spec.baseline, TextSize.of(lengths))
    found = count_operations(run_spec, inputs, main_settings(run_spec, inputs).schedule).baseline
    assert found.predict_all == wanted
    assert found.predict_per_text == wanted / 160


MIXED = ("head.pooling=cls", "task.sst.layer=1")


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        (("sampler=unified",), [3]),
        (("sampler=round_robin",), [1]),
        (("sampler=unified", "loss=pcgrad"), [1, 1, 1]),
        (("sampler=unified", "sharing=individual"), [1, 1, 1]),
        (("sampler=unified", "sharing.plan=G4:quora+sts"), [1, 2]),
    ],
)
def test_tasks_are_counted_together_as_the_measured_step_takes_them(
    prepared, monkeypatch, words, sizes
):
    """The head of sst reads a layer of which the others need every token."""
    run_spec, inputs = prepared(*MIXED, *words)
    rounds = []
    learner = make_learner(run_spec, inputs, run_spec.architecture)
    network = learner.network
    forward = network.forward
    monkeypatch.setattr(
        network, "forward", lambda texts: (rounds.append(len(texts)), forward(texts))[1]
    )
    if run_spec.config.sampler.name != "unified":
        learner.sampler = RoundRobin(tuple(run_spec.specs))
    learner.update(0, 3)
    assert rounds == sizes
    texts = {
        task: TextSize.of(
            [n for p in (d.first, d.second) if p is not None for n in p.lengths.tolist()]
        )
        for task, d in inputs.train.items()
    }
    groups = None if sum(sizes) == 3 and "loss=pcgrad" not in words else [(t,) for t in texts]
    wanted = training_flops(run_spec.architecture, texts, groups)
    found = count_operations(
        run_spec, inputs, main_settings(run_spec, inputs).schedule
    ).regime.train_by_task
    assert found == {task: wanted[task] / len(inputs.train[task]) for task in texts}
