"""What figures show."""

import numpy as np
import pytest

from mtl_sharing.report.analysis.series import (
    alpha_curves,
    cosine_panels,
    curve_panels,
    trade_offs,
    training_curves,
)
from mtl_sharing.report.analysis.splits import split_of, split_panels
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


@pytest.mark.parametrize(
    ("plan", "split"),
    [("S6-I6", (6, 12)), ("S12", (12, 12)), ("I12", (0, 12)), ("F4-S4-I4", None),
     ("I6-S6", None), ("S6-I6-PS", None), ("ES-I12", None), ("T12", None), ("?", None), ("", None)],
)  # fmt: skip
def test_split_points_of_plans(plan, split):
    assert split_of(plan) == split


def test_splits_are_curves_with_a_point_for_each_seed(make_run):
    for plan in ("I12", "S6-I6", "S12", "F6-I6"):
        for seed in (0, 1):
            value = {"I12": 0.9, "S6-I6": 0.8, "S12": 0.7, "F6-I6": 0.1}[plan] + seed / 100
            make_run(f"{plan}/{seed}", plan, seed, result={"performance": value})
    make_run("alone", "S3-I9", settings={"optimizer.lr": 0.5})
    [(layers, panels)] = split_panels(groups_in(make_run.top)).items()
    # No score was measured.
    assert list(panels) == ["performance", "sst accuracy", "quora accuracy", "sts pearson"]
    [line] = panels["performance"]
    assert (layers, line.group) == (12, "usual settings")
    assert line.points == [(0, 0.9), (0, 0.91), (6, 0.8), (6, 0.81), (12, 0.7), (12, 0.71)]


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
    panels = curve_panels(curves, "metric")
    assert list(panels) == ["performance", "sst accuracy", "quora accuracy", "sts pearson"]
    of_run = [line for line in panels["sts pearson"] if line.group == "S2-I2"][1]
    assert of_run.points == points


def test_a_run_that_trains_still_has_its_curves(make_run):
    make_run("lost", result={"status": "running"})
    curves = training_curves(read_runs([make_run.top]).runs, [])
    assert {c.label for c in curves} == {"I12  (lost)"}


def test_cosines_are_means_over_each_run_then_seeds(real_runs):
    reading = read_runs([real_runs])
    panels, stages = cosine_panels(make_groups(reading.runs))
    assert list(panels) == ["sst and quora", "sst and sts", "quora and sts"]
    assert stages == ["embeddings", "layer.0", "layer.1"]
    runs = [run for run in reading.runs if run.sweep]
    means = [run.history["cosine/layer.1/sst+sts"].mean() for run in runs]
    assert len(means) == 2 and means[0] != means[1]
    [line] = panels["sst and sts"]
    assert [x for x, _ in line.points] == [0, 1, 2]
    assert line.points[2][1] == pytest.approx(np.mean(means))


def test_phases_before_the_main_training_have_no_say_in_cosines(make_run, real_runs):
    folder = make_run("run")
    (folder / "metrics.csv").write_text(
        "step,phase,cosine/layer.10/a+b,cosine/layer.2/a+b,cosine/network/a+b\n"
        "1,early,0.9,0.9,0.9\n2,main,0.1,0.2,0\n3,main,0.3,,0\n"
    )
    panels, stages = cosine_panels(groups_in(make_run.top))
    assert list(panels) == ["a and b"] and stages == ["layer.2", "layer.10"]
    [line] = panels["a and b"]
    assert line.points == [(0, pytest.approx(0.2)), (1, pytest.approx(0.2))]
