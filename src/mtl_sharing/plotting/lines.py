"""Figures of lines in small panels: splits, schedules, training curves, cosines, histories."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from mtl_sharing.plotting.style import (
    COLOURS,
    DASHES,
    MARKS,
    OTHER,
    GroupStyle,
    GroupStyles,
    add_legend,
    choose_looks,
    entry,
    group_handles,
    panels,
    wrap,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A longer line is thinned to so many points: more are not seen at this size.
MOST_POINTS = 200


@dataclass(frozen=True)
class Line:
    """One line of a panel.

    Attributes:
        group: whose it is, which gives its colour.
    """

    group: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Panel:
    """Lines over the same axis, under one title."""

    title: str
    lines: tuple[Line, ...]


def thinned(line: Line, most: int = MOST_POINTS) -> Line:
    """The line with at most ``most`` points, its first and last among them."""
    count = len(line.x)
    if count <= most:
        return line
    kept = [round(place * (count - 1) / (most - 1)) for place in range(most)]
    return Line(line.group, tuple(line.x[k] for k in kept), tuple(line.y[k] for k in kept))


def means(lines: Sequence[Line]) -> list[Line]:
    """The mean of each group's lines at every place that all lines of the group have."""
    by_group: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_group[line.group].append(line)
    found = []
    for group, several in by_group.items():
        values = [dict(zip(line.x, line.y, strict=True)) for line in several]
        shared = sorted(set.intersection(*(set(one) for one in values)))
        middle = tuple(fmean(one[x] for one in values) for x in shared)
        found.append(Line(group, tuple(shared), middle))
    return found


def draw_curves(shown: Sequence[Panel], looks: GroupStyles, x_label: str, columns: int) -> "Figure":
    """Small multiples: each run as a thin line, the mean of a group's runs as a thick one."""
    figure, axes = panels(len(shown), columns, x_label=x_label)
    for one, panel in zip(axes, shown, strict=True):
        _draw_runs(one, panel.lines, looks)
        one.set(title=panel.title)
        _whole_numbers(one)
    groups = [line.group for panel in shown for line in panel.lines]
    add_legend(figure, group_handles(looks, groups, lines=True))
    return figure


def _draw_runs(axes: "Axes", lines: Sequence[Line], looks: GroupStyles) -> None:
    """Each line thin, then the mean of each group that has a look of its own."""
    from matplotlib.collections import LineCollection

    by_look: dict[GroupStyle, list[list[tuple[float, float]]]] = defaultdict(list)
    for line in map(thinned, lines):
        by_look[looks.of(line.group)].append(list(zip(line.x, line.y, strict=True)))
    for look, several in by_look.items():
        layer = 1 if look is OTHER else 2
        thin = LineCollection(several, colors=look.colour, linewidths=0.7, alpha=0.5, zorder=layer)
        axes.add_collection(thin)
    axes.autoscale_view()
    for line in means(lines):
        look = looks.of(line.group)
        if look is not OTHER:
            short = thinned(line)
            mark = look.mark if len(short.x) <= 15 else ""
            axes.plot(short.x, short.y, look.dash, color=look.colour, marker=mark, ms=3.5, zorder=3)


def draw_splits(shown: Sequence[Panel], columns: int = 3) -> "Figure":
    """Every run as a point over its split, the mean at each split as a line."""
    series = list(dict.fromkeys(line.group for panel in shown for line in panel.lines))
    looks = choose_looks(series)
    figure, axes = panels(len(shown), columns, x_label="shared layers")
    for one, panel in zip(axes, shown, strict=True):
        for line in panel.lines:
            look = looks.of(line.group)
            one.scatter(line.x, line.y, s=16, c=look.colour, marker=look.mark, alpha=0.5, lw=0)
            middle = mean_at(line)
            one.plot(list(middle), list(middle.values()), look.dash, color=look.colour)
        one.set(title=panel.title)
        _whole_numbers(one)
    if len(series) > 1:
        add_legend(figure, group_handles(looks, series, lines=True))
    return figure


def mean_at(line: Line) -> dict[float, float]:
    """The mean of the line's values at each place, in the order of the places."""
    values: dict[float, list[float]] = defaultdict(list)
    for x, y in zip(line.x, line.y, strict=True):
        values[x].append(y)
    return {x: fmean(values[x]) for x in sorted(values)}


def draw_schedules(lines: Sequence[Line]) -> "Figure":
    """Alpha over the epochs, a line for each schedule."""
    figure, (axes,) = panels(1, 1, 2.6)
    for place, line in enumerate(lines):
        look = _schedule_look(place)
        # An epoch has one alpha, and equal lines must not hide each other.
        axes.plot(line.x, line.y, look.dash, color=look.colour, marker=look.mark, ms=4, alpha=0.9)
    axes.set(xlabel="epoch", ylabel="alpha", ylim=(-0.05, 1.05))
    _whole_numbers(axes)
    handles = [
        entry(wrap(line.group), _schedule_look(k), line=True) for k, line in enumerate(lines)
    ]
    add_legend(figure, handles)
    return figure


def _schedule_look(place: int) -> GroupStyle:
    return GroupStyle(
        COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)], DASHES[place % len(DASHES)]
    )


def draw_cosines(
    shown: Sequence[Panel], stages: Sequence[str], looks: GroupStyles, columns: int = 3
) -> "Figure":
    """The cosine of two tasks' gradients at each shared stage; ``x`` counts the stages."""
    figure, axes = panels(len(shown), columns, 2.5, "stage")
    for one, panel in zip(axes, shown, strict=True):
        one.axhline(0, color="#999999", lw=0.8)
        _draw_runs(one, panel.lines, looks)
        one.set(title=panel.title)
        one.set_xticks(range(len(stages)), _short_stages(stages), rotation=90)
    groups = [line.group for panel in shown for line in panel.lines]
    add_legend(figure, group_handles(looks, groups, lines=True))
    return figure


def _short_stages(stages: Sequence[str]) -> list[str]:
    return [stage.removeprefix("layer.").removeprefix("layer ") for stage in stages]


def draw_history(
    trials: Mapping[str, Sequence[tuple[float, float]]],
    best: Sequence[tuple[float, float]],
    y_label: str,
) -> "Figure":
    """A sweep's objective, trial after trial.

    Args:
        trials: (number, objective) by state.
        best: (number, best objective so far).
    """
    figure, (axes,) = panels(1, 1, 2.6)
    handles = []
    for place, (state, points) in enumerate(trials.items()):
        look = GroupStyle(COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)])
        numbers, values = zip(*points, strict=True)
        axes.scatter(numbers, values, s=22, c=look.colour, marker=look.mark, zorder=3)
        handles.append(entry(state, look, line=False))
    if best:
        numbers, values = zip(*best, strict=True)
        axes.step(numbers, values, where="post", color="#777777", lw=1.2)
        handles.append(entry("best so far", GroupStyle("#777777", ""), line=True))
    axes.set(xlabel="trial", ylabel=y_label)
    _whole_numbers(axes)
    add_legend(figure, handles)
    return figure


def _whole_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
