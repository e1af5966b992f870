"""Figures of a report: styles, means, labels that do not overlap, and SVG as text."""

import random
import subprocess
import sys
from itertools import combinations

import pytest
from matplotlib.collections import LineCollection

from mtl_sharing.plotting.lines import (
    MOST_POINTS,
    Line,
    draw_cosines,
    draw_curves,
    draw_history,
    draw_schedules,
    draw_splits,
    mean_at,
    means,
    thinned,
)
from mtl_sharing.plotting.style import NAMED, OTHER, choose_styles, drawing, rendered, wrap
from mtl_sharing.plotting.trade_off import TradeOff, draw_trade_off

LONG = "  sampler=annealed sampler.end=0.2 optimizer.lr=1e-4 encoder.checkpoint=a/long/name-of-it"


def labels(count: int) -> list[str]:
    return [f"S{number}-I{64 - number}{LONG}" for number in range(count)]


def trade_offs(names: list[str], seeds: int = 3) -> list[TradeOff]:
    """Every second group is on the front."""
    draw = random.Random(5)
    points = []
    for number, name in enumerate(names):
        mean = 0.7 + 0.005 * number - 0.02 * (number % 2)
        values = tuple(mean + draw.gauss(0, 0.004) for _ in range(seeds))
        interval = (mean - 0.004, mean + 0.004) if seeds > 1 else None
        cost = 1e5 * (number + 1)
        points.append(TradeOff(name, cost, values, mean, interval, number % 2 == 0))
    return points


def test_steps_are_whole_numbers():
    figure = draw_curves({"sst": [Line("I12", [(20, 0.5)])]}, choose_styles(["I12"]))
    ticks = figure.axes[0].get_xticks()
    assert len(ticks) and all(float(tick).is_integer() for tick in ticks)


def test_every_named_group_has_its_own_style():
    styles = choose_styles(labels(40), named=40)
    assert len({(style.colour, style.mark) for style in styles.values()}) == 40


def test_the_first_and_those_on_the_front_are_named():
    names = labels(40)
    styles = choose_styles(names, first=[names[39], names[20]])
    assert len(styles) == NAMED
    assert set(styles) == {*names[: NAMED - 2], names[20], names[39]}
    assert names[38] not in styles and styles[names[39]] != OTHER


def test_a_mean_stands_where_every_line_of_the_group_has_a_value():
    lines = [
        Line("a", ((1, 1.0), (2, 2.0), (3, 6.0))),
        Line("a", ((2, 4.0), (3, 8.0), (4, 9.0))),
        Line("b", ((1, 5.0),)),
    ]
    assert means(lines) == [Line("a", ((2, 3.0), (3, 7.0))), Line("b", ((1, 5.0),))]
    assert mean_at([(3, 1.0), (0, 5.0), (3, 2.0)]) == {0: 5.0, 3: 1.5}


def test_a_long_line_keeps_its_ends():
    short = thinned(Line("a", [(x, float(x)) for x in range(5003)])).points
    assert len(short) == MOST_POINTS and (short[0], short[-1]) == ((0, 0.0), (5002, 5002.0))
    assert all(x == y for x, y in short)
    assert sorted(set(short)) == list(short)


@pytest.mark.parametrize(("groups", "seeds"), [(1, 1), (40, 2)])
def test_names_on_the_front_cover_nothing(groups, seeds):
    names = labels(groups)
    points = trade_offs(names, seeds)
    styles = choose_styles(names)
    with drawing():
        figure = draw_trade_off(points, styles)
        figure.canvas.draw()
        (axes,) = figure.axes
        named = [text for text in axes.texts if text.get_text()]
        boxes = [text.get_window_extent() for text in named]
        marks = [axes.transData.transform((p.parameters / 1e6, p.mean)) for p in points]
        legend = figure.legends[0].get_window_extent()
        entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named, "not one name found its place"
    for one, other in combinations([*boxes, legend], 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert not any(box.contains(*mark) for mark in marks)
        assert axes.bbox.containsx(box.x0) and axes.bbox.containsx(box.x1)
    assert figure.bbox.contains(legend.x0, legend.y0) and figure.bbox.contains(legend.x1, legend.y1)
    shown = [wrap(name) for name in names if name in styles]
    assert entries[: len(shown)] == shown
    assert len(entries) == len(shown) + (groups > NAMED)
    if groups > NAMED:
        assert entries[-1] == f"{groups - NAMED} others"


def test_panels_leave_room_for_their_legend():
    names = labels(40)
    lines = [Line(n, ((1, k), (2, k + 1.0), (3, k + 2))) for k, n in enumerate(names)] * 2
    shown = {f"task {number}": lines for number in range(5)}
    with drawing():
        figure = draw_curves(shown, choose_styles(names))
        figure.canvas.draw()
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        legend = figure.legends[0].get_window_extent()
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(shown)
    for one, other in combinations([*boxes, legend], 2):
        assert not one.overlaps(other)
    # Every run is a thin line; the mean of every named group a thick one.
    thin = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert sum(len(lines.get_segments()) for lines in thin) == 80
    assert len(figure.axes[0].lines) == NAMED


def test_svg_holds_its_words_and_is_the_same_each_time():
    strange = "$S6-I6$ <b>&  مرحبا 日本 🎉"
    with drawing():
        shown = {strange: [Line(strange, ((1, 0.5), (2, 0.7)))]}
        figures = [draw_curves(shown, choose_styles([strange])) for _ in range(2)]
        for kind in ("svg", "png", "pdf"):
            assert rendered(figures[0], kind) == rendered(figures[1], kind)
        text = rendered(figures[0], "svg").decode()
    assert "$S6-I6$ &lt;b&gt;&amp;" in text and "<b>" not in text
    assert "日本" in text


def test_splits_schedules_cosines_and_histories_show_what_they_are_given():
    with drawing():
        line = Line("", ((0, 0.5), (0, 0.7), (6, 0.8), (6, 0.6)))
        splits = draw_splits({"performance": [line]})
        (mean,) = splits.axes[0].lines
        assert list(mean.get_xdata()) == [0, 6] and list(mean.get_ydata()) == [0.6, 0.7]
        assert splits.axes[0].collections[0].get_offsets().shape == (4, 2)
        alphas = Line("annealed", ((1, 1.0), (2, 0.6), (3, 0.2)))
        schedule = draw_schedules([alphas, Line("sqrt", ((1, 0.5), (2, 0.5), (3, 0.5)))])
        assert [list(one.get_ydata()) for one in schedule.axes[0].lines] == [
            [1.0, 0.6, 0.2], [0.5, 0.5, 0.5]
        ]  # fmt: skip
        stages = ("embeddings", "layer.0", "pooler")
        shown = {"sst, quora": [Line("S2", ((0, 0.3), (1, -0.1), (2, 0.2)))]}
        cosines = draw_cosines(shown, stages, choose_styles(["S2"]))
        ticks = [text.get_text() for text in cosines.axes[0].get_xticklabels()]
        assert ticks == ["embeddings", "0", "pooler"]
        history = draw_history([(0, 0.5, 0.5), (2, 0.7, 0.7)], "keep")
        assert history.axes[0].get_ylabel() == "keep"
        for figure in (splits, schedule, cosines, history):
            assert rendered(figure, "svg").startswith(b"<?xml")


def test_no_settings_of_the_working_folder_are_used(tmp_path):
    """Matplotlib reads a matplotlibrc where it is started, which could have LaTeX called."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nlines.linewidth: 77\n")
    code = (
        "from mtl_sharing.plotting.style import new_figure; new_figure(1)\n"
        "import matplotlib as mpl, os\n"
        f"assert os.getcwd() == {str(tmp_path)!r}\n"
        "assert not mpl.rcParams['text.usetex'] and mpl.rcParams['lines.linewidth'] != 77"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
