"""The training curves: what is drawn, and that nothing in the picture covers a line."""

import csv
from itertools import pairwise

import pytest
from matplotlib.colors import to_hex

from mtl_sharing.plotting.run_curves import CurveFacts, curve_figure, panel_lines
from mtl_sharing.plotting.training_curves import (
    LOSS,
    METRIC,
    TRAINING,
    Line,
    Span,
    read_curves,
)
from support import QUICK


def evaluation(step, phase, losses, dev=None):
    """A row as the trainer writes it; ``dev`` is each task's accuracy."""
    prefix = "" if phase == "main" else f"{phase}."
    row = {"step": step, "train_s": 0.5, "phase": phase}
    for task, value in (dev or {}).items():
        row |= {"performance": 0.25, f"dev/{task}/accuracy": value, f"dev/{task}/loss": 1 - value}
    return row | {f"train/{prefix}{task}/loss": loss for task, loss in losses.items()}


HISTORY = (
    evaluation(3, "mlm", {"b": 7.0}),
    evaluation(5, "mlm", {"b": 6.0, "a": 5.0}),
    evaluation(12, "main", {"a": 2.0, "b": 1.0}, {"a": 0.5, "b": 0.25}),
    evaluation(16, "main", {"a": 1.5, "b": 0.5}, {"a": 0.75, "b": 0.5}),
)


def test_a_training_loss_ends_with_its_phase():
    lines = [line for line in read_curves(HISTORY).lines if line.panel == TRAINING]
    assert lines == [
        Line(TRAINING, "b", ((3, 7.0), (5, 6.0)), "mlm"),
        Line(TRAINING, "a", ((5, 5.0),), "mlm"),
        Line(TRAINING, "a", ((12, 2.0), (16, 1.5)), "main"),
        Line(TRAINING, "b", ((12, 1.0), (16, 0.5)), "main"),
    ]


def test_lines_of_dev_span_all_phases():
    lines = [line for line in read_curves(HISTORY).lines if line.panel != TRAINING]
    assert sorted(lines, key=lambda line: (line.panel, line.task)) == [
        Line(LOSS, "a", ((12, 0.5), (16, 0.25))),
        Line(LOSS, "b", ((12, 0.75), (16, 0.5))),
        Line(METRIC, "a", ((12, 0.5), (16, 0.75))),
        Line(METRIC, "b", ((12, 0.25), (16, 0.5))),
        Line(METRIC, "performance", ((12, 0.25), (16, 0.25))),
    ]


def test_phases_are_spans_of_steps_and_one_alone_is_none():
    assert read_curves(HISTORY).spans == (Span("mlm", 0, 5), Span("main", 5, 16))
    assert read_curves(HISTORY[2:]).spans == ()


def test_a_tasks_place_does_not_depend_on_what_trained_first():
    assert list(read_curves(HISTORY).metrics.items()) == [("a", "accuracy"), ("b", "accuracy")]
    assert read_curves(HISTORY[:2]).metrics == {"b": None, "a": None}


def correlated(pearson):
    """The panels of a run of a classification and a regression."""
    row = {"step": 4, "performance": 0.75, "performance_raw_r": 0.7, "dev/a/accuracy": 0.9,
           "dev/b/pearson": 0.5, "dev/a/loss": 0.3, "dev/b/loss": 4.0}  # fmt: skip
    facts = CurveFacts(pearson, {"a": 0.4, "b": 0.0})
    curves = read_curves([row], pearson)
    panels = panel_lines(curves, facts)
    return curves, facts, {t: [(o.task, o.points[0][1]) for o in p] for t, p in panels.items()}


def test_metrics_count_as_in_the_performance_and_kinds_of_losses_stand_apart():
    unit, raw = correlated("unit")[2], correlated("raw")[2]
    assert unit["metrics on dev"] == [("a", 0.9), ("b", 0.75), ("performance", 0.75)]
    assert raw["metrics on dev"] == [("a", 0.9), ("b", 0.5), ("performance", 0.7)]
    for panels in (unit, raw):
        assert panels["classification loss"] == [("a", 0.3)]
        assert panels["regression loss"] == [("b", 4.0)]


def test_a_phase_with_a_loss_of_its_own_has_its_panel():
    panels = panel_lines(read_curves(HISTORY), CurveFacts(own_losses={"mlm": "masked_lm"}))
    assert [line.phase for line in panels["masked lm loss"]] == ["mlm", "mlm"]
    assert {line.phase for line in panels["classification loss"]} == {"", "main"}


def test_floors_are_drawn_on_the_scale_of_the_metrics():
    curves, facts, _ = correlated("unit")
    axes = curve_figure(curves, "a title", facts).axes[0]
    assert [one.get_ydata()[0] for one in axes.lines if one.get_linestyle() == ":"] == [0.4, 0.5]
    assert axes.get_ylabel() == "any r as (r + 1) / 2"


def test_every_number_of_a_run_is_drawn_once(mtl_train):
    done = mtl_train(*QUICK, "encoder.layers=2", "phases=[mlm,heads_first]", "trainer.eval_every=2")
    assert done.code == 0, done.err
    with (done.folder / "metrics.csv").open() as file:
        rows = [{key: text for key, text in row.items() if text} for row in csv.DictReader(file)]
    expected = sorted(
        (int(row["step"]), float(text))
        for row in rows
        for name, text in row.items()
        if name == "performance" or name.startswith(("train/", "dev/"))
    )
    curves = read_curves([{**row, "step": int(row["step"])} for row in rows])
    drawn = [(step, float(text)) for line in curves.lines for step, text in line.points]
    assert sorted(drawn) == expected
    assert [span.phase for span in curves.spans] == ["mlm", "heads_first", "main"]
    assert curves.metrics == {"sst": "accuracy", "quora": "accuracy", "sts": "pearson"}


def long_history(tasks, phases):
    names = [f"a_rather_long_name_{number}" for number in range(tasks)]
    dev = dict.fromkeys(names, 0.5)
    before = [evaluation(7 * n, f"before_{n}", dev) for n in range(1, phases + 1)]
    return [*before, evaluation(7 * phases + 50, "main", dev, dev)]


@pytest.mark.parametrize(("tasks", "phases"), [(1, 0), (3, 2), (11, 3), (41, 15)])
def test_a_task_has_one_colour_and_one_place_in_the_legend(tasks, phases):
    curves = read_curves(long_history(tasks, phases))
    figure = curve_figure(curves, "a title", CurveFacts())
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[tasks:] == ["performance", "on dev", "training"]
    shown = [to_hex(line.get_color()) for line in legend.get_lines()]
    named = dict(zip(texts[: tasks + 1], shown, strict=False))
    assert len(named) == len(set(named.values())) == tasks + 1
    panels = panel_lines(curves, CurveFacts())
    for axes, lines in zip(figure.axes, panels.values(), strict=True):
        drawn = [to_hex(line.get_color()) for line in axes.get_lines()]
        name = {t: f"{t} ({metric})" for t, metric in curves.metrics.items()}
        assert drawn == [named[name.get(line.task, line.task)] for line in lines]


def extents_above(axes):
    """Where the names of phases stand over a panel, in pixels."""
    return [
        label.get_window_extent() for above in axes.child_axes for label in above.get_xticklabels()
    ]


@pytest.mark.parametrize(("tasks", "phases"), [(1, 0), (11, 3), (41, 15)])
def test_legend_and_names_of_phases_stand_beside_the_panels(tasks, phases):
    figure = curve_figure(read_curves(long_history(tasks, phases)), "a title", CurveFacts())
    figure.canvas.draw()
    boxes = [axes.get_window_extent() for axes in figure.axes]
    (legend,) = figure.legends
    outside = legend.get_window_extent()
    assert outside.x0 >= 0
    assert outside.x1 <= figure.bbox.x1
    names = [extents_above(axes) for axes in figure.axes]
    assert [len(row) for row in names] == [phases + 1 if phases else 0] * len(figure.axes)
    for box in [outside, *(name for row in names for name in row)]:
        assert not any(box.overlaps(panel) for panel in boxes)
    assert all(left.x1 <= right.x0 for row in names for left, right in pairwise(row))
