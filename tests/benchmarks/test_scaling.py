"""Scaling: measurement, conclusions and figure."""

import json
from dataclasses import replace

import pytest

from benchmarks import scaling
from benchmarks.scaling import (
    POINTS,
    Cost,
    Point,
    conclusions,
    fastest,
    fitted_exponent,
    measure,
    panels,
    run_scaling,
)
from benchmarks.scaling_plot import lines


def cost(point, step_s, peak=10**8):
    examples = point.batch * point.tasks
    return Cost(point, step_s, examples, examples * point.length, peak)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_of_a_power_law(power):
    costs = [cost(Point("length", length=n), 3.0 * n**power) for n in (16, 64, 128)]
    assert fitted_exponent(costs) == pytest.approx(power)


def test_conclusions():
    costs = [cost(Point("batch size", batch=n), 0.1 * n) for n in (8, 32)]
    costs += [cost(Point("tasks", tasks=4, sharing="shared"), 0.6, 3 * 10**8)]
    costs += [cost(Point("tasks", tasks=4, sharing="individual"), 0.8, 10**9)]
    assert conclusions(costs) == [
        "batch size: step time grows with real tokens to the power 1.00",
        "tasks: 4 on a shared trunk take 0.75 of the time and 0.30 of the memory of models",
    ]


def test_a_slow_moment_spoils_no_point():
    few, many = (Point("layers", layers=n) for n in (3, 6))
    costs = [cost(few, 0.3), cost(many, 0.4), cost(few, 0.2), cost(many, 0.9)]
    assert fastest(costs) == [cost(few, 0.2), cost(many, 0.4)]


def test_lines_are_drawn_in_order():
    costs = [cost(Point("tasks", tasks=n, sharing=s), 0.01 * n) for n in (8, 1)
             for s in ("shared", "individual")]  # fmt: skip
    drawn = lines(costs)
    memory = 10**8 / 1e6
    assert drawn["tasks", "peak memory of training, MB"][0] == (
        "one shared trunk", [1, 8], [memory, memory]
    )  # fmt: skip
    (_, _, seconds), _ = drawn["tasks", "milliseconds of a step"]
    assert seconds == pytest.approx([10, 80])
    (_, _, rates), _ = drawn["tasks", "examples/s"]
    assert rates == pytest.approx([1600, 1600])


def test_every_panel_has_the_values_asked_for():
    values = {
        panel: [one.point.value for one in found["shared"]]
        for panel, found in panels([cost(point, 1.0) for point in POINTS]).items()
    }
    assert values == {
        "batch size": [8, 16, 32, 64],
        "length": [16, 32, 64, 128, 256],
        "tasks": [1, 3, 8, 16],
        "layers": [3, 6, 12],
    }


def test_a_point_is_measured_as_it_says():
    point = Point("tasks", batch=2, length=7, tasks=5, layers=1, sharing="individual")
    result = measure(point)
    assert (result.examples, result.tokens) == (10, 70)
    assert 0 < result.step_s < 60
    shared = measure(replace(point, sharing="shared"))
    # Five towers of a layer of 0.8 M weights and 0.5 M of embeddings, with gradient and moments.
    assert result.peak_bytes - shared.peak_bytes > 30e6


def test_a_run_writes_its_costs_and_the_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "measure", lambda point: cost(point, 0.01 * point.length))
    points = tuple(Point("length", batch=2, length=n, tasks=1, layers=1) for n in (4, 8))
    logged = []
    run_scaling(tmp_path, logged.append, points)
    record = json.loads((tmp_path / "scaling.json").read_text())
    assert [one["point"]["length"] for one in record["costs"]] == [4, 8]
    assert [one["tokens"] for one in record["costs"]] == [8, 16]
    assert record["found"] == logged[4:]
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
