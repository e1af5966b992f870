"""What figures show."""

import numpy as np
import pytest

from mtl_sharing.plotting.levels import FLOOR, SEPARATE, Level
from mtl_sharing.plotting.training_curves import METRIC, TRAINING
from mtl_sharing.report.analysis.notes import common_note
from mtl_sharing.report.analysis.series import (
    alpha_curves,
    cosine_panels,
    curve_panels,
    training_curves,
)
from mtl_sharing.report.analysis.splits import split_of, split_panels
from mtl_sharing.report.analysis.statistics import summarize
from mtl_sharing.report.analysis.trade_offs import metric_levels, performance_levels, trade_offs
from mtl_sharing.report.inputs.groups import make_groups
from mtl_sharing.report.inputs.runs import read_runs
from mtl_sharing.sampling.epochs import Epochs
from mtl_sharing.sampling.samplers import make_sampler
from mtl_sharing.sampling.settings import SamplerConfig


def groups_in(folder):
    return make_groups(read_runs([folder]).runs)


def test_the_front_is_that_of_all_pairs(make_run):
    random = np.random.default_rng(5)
    sizes, values = random.integers(5, size=11) + 10, random.integers(6, size=11) / 10
    for k in range(11):
        facts = {"params.total": int(sizes[k]), "performance": float(values[k])}
        make_run(f"{k}", f"S{k + 1}-I{11 - k}" if k < 11 else "S12", result=facts)
    points = trade_offs(groups_in(make_run.top))
    assert [p.parameters for p in points] == sorted(sizes)
    for p in points:
        beaten = any(
            (q.parameters <= p.parameters and q.mean > p.mean)
            or (q.parameters < p.parameters and q.mean >= p.mean)
            for q in points
        )
        assert p.front is not beaten
    assert any(p.front for p in points) and not all(p.front for p in points)


def test_a_performance_is_compared_with_the_separate_models_of_the_report(make_run):
    for seed, performance in enumerate((0.7, 0.8, 0.9)):
        make_run(f"i{seed}", "I12", seed, result={"performance": performance})
    held = {"performance": 0.6, "reference": {"performance": 0.65}, "scored_by.keep": 0.9}
    make_run("s", "S12", settings={"optimizer.lr": 0.5}, result=held)
    groups = groups_in(make_run.top)
    floor, separate = performance_levels(groups)  # two shares to keep are no level
    assert separate.value == pytest.approx(0.8)
    assert separate.interval == pytest.approx((summarize([0.7, 0.8, 0.9]).low, 0.8 + 0.2484), 1e-3)
    assert floor.name == FLOOR and 0 < floor.value < 0.7
    alone = [group for group in groups if not group.separate]
    names = [(level.name, level.value) for level in performance_levels(alone)[1:]]
    assert names == [(SEPARATE, 0.65), (f"90% of {SEPARATE}", pytest.approx(0.585))]


def test_a_floor_that_differs_is_none(make_run):
    make_run("a")
    assert metric_levels(groups_in(make_run.top), "sts") == [Level(FLOOR, 0.0)]
    make_run("b", "S12", result={"tasks.sts.floor": 0.1})
    assert metric_levels(groups_in(make_run.top), "sts") == []


def test_points_of_raw_scores_are_raw(make_run):
    raw = {"performance": 0.75, "performance_raw_r": 0.6, "scored_by.pearson": "raw"}
    make_run("a", result=raw)
    assert [point.mean for point in trade_offs(groups_in(make_run.top))] == [0.6]
    make_run("b", "S12")
    assert 0.75 in [point.mean for point in trade_offs(groups_in(make_run.top))]


def test_names_say_what_is_not_like_most_groups(make_run):
    make_run("a", "I12", settings={"suite.select_fraction": 0.1})
    make_run("b", "S12", settings={"optimizer.lr": 0.5})
    make_run("c", "S6-I6", settings={"optimizer.lr": 0.5})
    make_run("d", "S6-I6")
    make_run("e", "S9-I3", settings={"optimizer.lr": 0.5})
    groups = groups_in(make_run.top)
    assert sorted(group.label for group in groups) == [
        "I12  held out of train 0.1, learning rate 0.001", "S12", "S6-I6",
        "S6-I6  learning rate 0.001", "S9-I3",
    ]  # fmt: skip
    note = "Groups that do not say otherwise: held out of train 0, learning rate 0.5."
    assert common_note(groups) == note


@pytest.mark.parametrize(
    ("plan", "split"),
    [("S6-I6", (6, 12)), ("S12", (12, 12)), ("I12", (0, 12)), ("F4-S4-I4", None),
     ("I6-S6", None), ("S6-I6-PS", None), ("ES-I12", None), ("T12", None), ("?", None), ("", None)],
)  # fmt: skip
def test_split_points_of_plans(plan, split):
    assert split_of(plan) == split


def test_splits_are_curves_with_a_point_for_each_seed(make_run):
    for plan in ("I12", "S6-I6", "S12", "F6-I6"):
        for seed in (0, 1, 2) if plan == "S6-I6" else (0, 1):
            value = {"I12": 0.9, "S6-I6": 0.8, "S12": 0.7, "F6-I6": 0.1}[plan] + seed / 100
            make_run(f"{plan}/{seed}", plan, seed, result={"performance": value})
    make_run("alone", "S3-I9", settings={"optimizer.lr": 0.5})
    [(layers, panels)] = split_panels(groups_in(make_run.top)).items()
    # No score was measured.
    assert list(panels) == ["performance", "sst accuracy", "quora accuracy", "sts pearson"]
    [line] = panels["performance"].lines
    assert (layers, line.group) == (12, "usual settings")
    assert line.points == [
        (0, 0.9), (0, 0.91), (6, 0.8), (6, 0.81), (6, 0.8 + 0.02), (12, 0.7), (12, 0.71)
    ]  # fmt: skip
    summary = summarize([0.8, 0.81, 0.8 + 0.02])
    assert line.intervals == [(6, summary.low, summary.high)]


def test_alphas_are_those_that_trained(make_run):
    annealed = {"sampler.name": "annealed", "sampler.start": 0.9, "sampler.end": 0.3}
    annealed |= {"sampler.shape": "cosine", "trainer.epochs": 3.5}
    make_run("a", settings=annealed)
    make_run("b", settings=annealed, result={"status": "failed", "reason": "x"})
    make_run("c", settings={"sampler.name": "temperature", "sampler.alpha": 0.4})
    make_run("d")
    make_run("e", settings={"sampler.name": "temperature", "sampler.alpha": 7})
    first, second = alpha_curves(read_runs([make_run.top]).runs)
    assert first.name == "annealed, alpha 0.9 to 0.3, cosine" and first.runs == ("a", "b")
    config = SamplerConfig(name="annealed", start=0.9, end=0.3, shape="cosine")
    epochs = Epochs(700, 3.5)
    sampler = make_sampler(config, {"x": 5, "y": 2}, {"x": 1, "y": 1}, epochs, 0)
    trained = [sampler.alpha(epochs.start(epoch)) for epoch in range(epochs.count)]
    assert first.alphas == pytest.approx(trained) and len(trained) == 4
    assert second.name == "temperature, alpha 0.4" and set(second.alphas) == {0.4}


def test_training_curves_are_the_rows_of_the_metrics(real_runs):
    reading = read_runs([real_runs])
    groups = make_groups(reading.runs)
    curves = training_curves(reading.runs, groups)
    assert {c.label for c in curves} == {"I4", "S2-I2"} and len({c.run for c in curves}) == 3
    run = next(r for r in reading.runs if r.name == "several/1")
    own = {(c.line.panel, c.line.task): c for c in curves if c.run == run.name}
    tasks = [*run.result["tasks"]]
    wanted = {(panel, t) for panel in ("training loss", "loss", "metric") for t in tasks}
    assert set(own) == wanted | {("metric", "performance")}
    line = own["metric", "sts"].line
    assert own["metric", "sts"].metric == "pearson"
    table = run.history
    points = list(zip(table["step"].tolist(), table["dev/sts/pearson"].tolist(), strict=True))
    assert list(line.points) == points
    panels = curve_panels(curves, METRIC, groups)
    assert list(panels) == ["performance", "sst accuracy", "quora accuracy", "sts pearson"]
    of_run = [line for line in panels["sts pearson"].lines if line.group == "S2-I2"][1]
    assert of_run.points == points
    assert panels["sts pearson"].levels == [Level(FLOOR, 0.0)]
    assert panels["performance"].label == "any r as (r + 1) / 2"
    losses = curve_panels(curves, TRAINING, groups)
    assert list(losses) == ["sst loss", "quora loss", "sts loss"]


def test_a_run_that_trains_still_has_its_curves(make_run):
    make_run("lost", result={"status": "running"})
    curves = training_curves(read_runs([make_run.top]).runs, [])
    assert {c.label for c in curves} == {"I12  (lost)"}


def test_cosines_are_means_over_each_run(real_runs):
    reading = read_runs([real_runs])
    panels, stages = cosine_panels(make_groups(reading.runs))
    assert list(panels) == ["sst and quora", "sst and sts", "quora and sts"]
    assert stages == ["embeddings", "layer.0", "layer.1"]
    runs = [run for run in reading.runs if run.sweep]
    means = [run.history["cosine/layer.1/sst+sts"].mean() for run in runs]
    assert len(means) == 2 and means[0] != means[1]
    [line] = panels["sst and sts"].lines
    assert [x for x, _ in line.points] == [0, 0, 1, 1, 2, 2]
    assert sorted(y for x, y in line.points if x == 2) == pytest.approx(sorted(means))


def test_phases_before_the_main_training_have_no_say_in_cosines(make_run, real_runs):
    folder = make_run("run")
    (folder / "metrics.csv").write_text(
        "step,phase,cosine/layer.10/a+b,cosine/layer.2/a+b,cosine/network/a+b\n"
        "1,early,0.9,0.9,0.9\n2,main,0.1,0.2,0\n3,main,0.3,,0\n"
    )
    panels, stages = cosine_panels(groups_in(make_run.top))
    assert list(panels) == ["a and b"] and stages == ["layer.2", "layer.10"]
    [line] = panels["a and b"].lines
    assert line.points == [(0, pytest.approx(0.2)), (1, pytest.approx(0.2))]
