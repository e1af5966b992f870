"""The training curves: what is drawn, and that nothing in the picture covers a line."""

import csv
from itertools import pairwise

import pytest
from matplotlib.colors import to_hex

from mtl_sharing.plotting.training_curves import (
    LOSS,
    METRIC,
    PANELS,
    TRAINING,
    Line,
    Span,
    curve_figure,
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
        Line(TRAINING, "b", ((3, 7.0), (5, 6.0))),
        Line(TRAINING, "a", ((5, 5.0),)),
        Line(TRAINING, "a", ((12, 2.0), (16, 1.5))),
        Line(TRAINING, "b", ((12, 1.0), (16, 0.5))),
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
    figure = curve_figure(curves, "a title")
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    shown = [to_hex(line.get_color()) for line in legend.get_lines()]
    named = dict(zip(texts, shown, strict=True))
    assert len(named) == len(set(named.values())) == tasks + 1
    for axes, panel in zip(figure.axes, PANELS, strict=False):
        tasks_drawn = [line.task for line in curves.lines if line.panel == panel]
        drawn = [to_hex(line.get_color()) for line in axes.get_lines()]
        name = {t: f"{t} ({metric})" for t, metric in curves.metrics.items()}
        assert drawn == [named[name.get(task, task)] for task in tasks_drawn]


def extents_above(axes):
    """Where the names of phases stand over a panel, in pixels."""
    return [
        label.get_window_extent() for above in axes.child_axes for label in above.get_xticklabels()
    ]


@pytest.mark.parametrize(("tasks", "phases"), [(1, 0), (11, 3), (41, 15)])
def test_legend_and_names_of_phases_stand_beside_the_panels(tasks, phases):
    figure = curve_figure(read_curves(long_history(tasks, phases)), "a title")
    figure.canvas.draw()
    boxes = [axes.get_window_extent() for axes in figure.axes]
    (legend,) = figure.legends
    outside = legend.get_window_extent()
    assert outside.x0 >= 0
    assert outside.x1 <= figure.bbox.x1
    names = [extents_above(axes) for axes in figure.axes]
    assert [len(row) for row in names] == [phases + 1 if phases else 0] * len(PANELS)
    for box in [outside, *(name for row in names for name in row)]:
        assert not any(box.overlaps(panel) for panel in boxes)
    assert all(left.x1 <= right.x0 for row in names for left, right in pairwise(row))
