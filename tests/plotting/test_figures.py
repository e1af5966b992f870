"""Figures of a report: styles, means, labels that do not overlap, and SVG as text."""

import random
import subprocess
import sys
from itertools import combinations

import pytest
from matplotlib.collections import LineCollection, PathCollection

from mtl_sharing.plotting.levels import FLOOR, SEPARATE, Level, reference_levels
from mtl_sharing.plotting.lines import (
    MOST_POINTS,
    Line,
    Panel,
    draw_cosines,
    draw_curves,
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
    figure = draw_curves({"sst": Panel([Line("I12", [(20, 0.5)])])}, choose_styles(["I12"]))
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
    shown = {f"task {number}": Panel(lines) for number in range(5)}
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
        shown = {strange: Panel([Line(strange, ((1, 0.5), (2, 0.7)))])}
        figures = [draw_curves(shown, choose_styles([strange])) for _ in range(2)]
        for kind in ("svg", "png", "pdf"):
            assert rendered(figures[0], kind) == rendered(figures[1], kind)
        text = rendered(figures[0], "svg").decode()
    assert "$S6-I6$ &lt;b&gt;&amp;" in text and "<b>" not in text
    assert "日本" in text


def test_splits_and_schedules_show_what_they_are_given():
    with drawing():
        line = Line("", ((0, 0.5), (0, 0.7), (6, 0.8), (6, 0.6)), ((6, 0.55, 0.85),))
        splits = draw_splits({"performance": Panel([line])})
        (mean,) = splits.axes[0].lines
        assert list(mean.get_xdata()) == [0, 6] and list(mean.get_ydata()) == [0.6, 0.7]
        seeds, interval = splits.axes[0].collections
        assert seeds.get_offsets().shape == (4, 2)
        assert interval.get_segments()[0].tolist() == [[6, 0.55], [6, 0.85]]
        alphas = Line("annealed", ((1, 1.0), (2, 0.6), (3, 0.2)))
        schedule = draw_schedules([alphas, Line("sqrt", ((1, 0.5), (2, 0.5), (3, 0.5)))])
        assert [list(one.get_ydata()) for one in schedule.axes[0].lines] == [
            [1.0, 0.6, 0.2], [0.5, 0.5, 0.5]
        ]  # fmt: skip
        for figure in (splits, schedule):
            assert rendered(figure, "svg").startswith(b"<?xml")


def test_the_intervals_of_two_lines_stand_beside_each_other():
    points, interval = ((0, 0.3), (1, -0.1), (2, 0.2)), ((1, -0.2, 0.0),)
    shown = {"sst, quora": Panel([Line("S2", points, interval), Line("S3", points, interval)])}
    with drawing():
        (axes,) = draw_cosines(shown, ("embeddings", "layer.0", "pooler"), choose_styles("S")).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["E", "0", "P"]
    bars = [one for one in axes.collections if isinstance(one, LineCollection)]
    left, right = (bar.get_segments()[0][0][0] for bar in bars)
    assert left < 1 < right


def levelled(*levels):
    """The dashes and the label of y of a panel between 0.7 and 0.8 with these levels."""
    panel = Panel([Line("a", ((0, 0.7), (1, 0.8)))], "r", levels)
    with drawing():
        figure = draw_curves({"performance": panel}, choose_styles(["a"]))
    (axes,) = figure.axes
    assert axes.get_ylim()[0] > 0.6
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    return [line.get_ydata()[0] for line in axes.lines[1:]], axes.get_ylabel(), legend


def test_a_level_far_away_is_in_the_label_of_the_axis():
    near, far = Level(SEPARATE, 0.81, (0.7, 0.9)), Level(FLOOR, 0.25)
    assert levelled(near) == ([0.81], "r", ["a", SEPARATE])
    assert levelled(near, far)[:2] == ([0.81], "r\na constant answer: 0.25, below")
    assert levelled(Level(FLOOR, 5.0))[1] == "r\na constant answer: 5, above"


def test_what_is_enough_is_a_share_of_separate_models():
    names = [level.name for level in reference_levels(0.4, 0.8, 0.99)]
    assert names == [FLOOR, SEPARATE, f"99% of {SEPARATE}"]
    assert reference_levels(0.4, 0.8, 0.99)[2].value == 0.99 * 0.8
    assert reference_levels(None, 0.8, 1.0) == [Level(SEPARATE, 0.8)]
    assert reference_levels(None, None, 0.99) == []


def test_the_chosen_group_has_a_ring_and_its_name():
    names = labels(5)
    with drawing():
        figure = draw_trade_off(trade_offs(names), choose_styles(names), chosen=names[3])
    marks = [one for one in figure.axes[0].collections if isinstance(one, PathCollection)]
    rings = [one for one in marks if not len(one.get_facecolors())]
    assert [round(float(one.get_offsets()[0][0]), 6) for one in rings] == [0.4]
    assert "chosen" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert "S3-I61" in [text.get_text() for text in figure.axes[0].texts]


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
