"""Figures with lines in small panels: splits, schedules, training curves, cosines, histories."""

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
    choose_styles,
    entry,
    group_handles,
    panels,
    wrap,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Longer lines are thinned to so many points; more cannot be told apart at this size.
MOST_POINTS = 200


@dataclass(frozen=True)
class Line:
    """One line of a panel; ``group`` decides its style."""

    group: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Panel:
    """Lines in one pair of axes, under one title."""

    title: str
    lines: tuple[Line, ...]


def thinned(line: Line, most: int = MOST_POINTS) -> Line:
    """The line with at most ``most`` points, its first and last among them."""
    count = len(line.x)
    if count <= most:
        return line
    kept = [round(number * (count - 1) / (most - 1)) for number in range(most)]
    return Line(line.group, tuple(line.x[k] for k in kept), tuple(line.y[k] for k in kept))


def means(lines: Sequence[Line]) -> list[Line]:
    """The mean of each group's lines, at every x that all lines of the group have."""
    by_group: dict[str, list[dict[float, float]]] = defaultdict(list)
    for line in lines:
        by_group[line.group].append(dict(zip(line.x, line.y, strict=True)))
    averages = []
    for group, values in by_group.items():
        shared = sorted(set.intersection(*map(set, values)))
        averages.append(
            Line(group, tuple(shared), tuple(fmean(v[x] for v in values) for x in shared))
        )
    return averages


def mean_at(line: Line) -> dict[float, float]:
    """The mean of the line's values at each x, in ascending order."""
    values: dict[float, list[float]] = defaultdict(list)
    for x, y in zip(line.x, line.y, strict=True):
        values[x].append(y)
    return {x: fmean(values[x]) for x in sorted(values)}


def draw_curves(
    shown: Sequence[Panel], styles: GroupStyles, x_label: str, columns: int
) -> "Figure":
    """Draws each run as a thin line and the mean of a group's runs as a thick one."""
    figure, axes = panels(len(shown), columns, x_label=x_label)
    for one, panel in zip(axes, shown, strict=True):
        _draw_runs(one, panel.lines, styles)
        one.set(title=panel.title)
        _use_integer_ticks(one)
    add_legend(figure, group_handles(styles, _groups(shown), lines=True))
    return figure


def _groups(shown: Sequence[Panel]) -> list[str]:
    return list(dict.fromkeys(line.group for panel in shown for line in panel.lines))


def _draw_runs(axes: "Axes", lines: Sequence[Line], styles: GroupStyles) -> None:
    """Draws each line thin, then the mean of each named group thick."""
    from matplotlib.collections import LineCollection

    by_style: dict[GroupStyle, list[list[tuple[float, float]]]] = defaultdict(list)
    for line in map(thinned, lines):
        by_style[styles.of(line.group)].append(list(zip(line.x, line.y, strict=True)))
    for style, runs in by_style.items():
        layer = 1 if style is OTHER else 2
        thin = LineCollection(runs, colors=style.colour, linewidths=0.7, alpha=0.5, zorder=layer)
        axes.add_collection(thin)
    axes.autoscale_view()
    for line in map(thinned, means(lines)):
        style = styles.of(line.group)
        if style is not OTHER:
            mark = style.mark if len(line.x) <= 15 else ""
            axes.plot(line.x, line.y, style.dash, color=style.colour, marker=mark, ms=3.5, zorder=3)


def draw_splits(shown: Sequence[Panel], columns: int = 3) -> "Figure":
    """Draws every run as a point over its split, and the mean at each split as a line."""
    groups = _groups(shown)
    styles = choose_styles(groups)
    figure, axes = panels(len(shown), columns, x_label="shared layers")
    for one, panel in zip(axes, shown, strict=True):
        for line in panel.lines:
            style, mean = styles.of(line.group), mean_at(line)
            one.scatter(line.x, line.y, s=16, c=style.colour, marker=style.mark, alpha=0.5, lw=0)
            one.plot(list(mean), list(mean.values()), style.dash, color=style.colour)
        one.set(title=panel.title)
        _use_integer_ticks(one)
    if len(groups) > 1:
        add_legend(figure, group_handles(styles, groups, lines=True))
    return figure


def draw_schedules(lines: Sequence[Line]) -> "Figure":
    """Draws alpha over the epochs, a line for each schedule."""
    figure, (axes,) = panels(1, 1, 2.6)
    handles = []
    for number, line in enumerate(lines):
        style = _numbered_style(number)
        # Marks, as there may be one epoch alone; transparent, as equal lines hide each other.
        axes.plot(
            line.x, line.y, style.dash, color=style.colour, marker=style.mark, ms=4, alpha=0.9
        )
        handles.append(entry(wrap(line.group), style, line=True))
    axes.set(xlabel="epoch", ylabel="alpha", ylim=(-0.05, 1.05))
    _use_integer_ticks(axes)
    add_legend(figure, handles)
    return figure


def _numbered_style(number: int) -> GroupStyle:
    return GroupStyle(*(values[number % len(values)] for values in (COLOURS, MARKS, DASHES)))


def draw_cosines(
    shown: Sequence[Panel], stages: Sequence[str], styles: GroupStyles, columns: int = 3
) -> "Figure":
    """Draws the cosine of two tasks' gradients at each shared stage; ``x`` counts the stages."""
    figure, axes = panels(len(shown), columns, 2.5, "stage")
    names = [stage.removeprefix("layer.").removeprefix("layer ") for stage in stages]
    for one, panel in zip(axes, shown, strict=True):
        one.axhline(0, color="#999999", lw=0.8)
        _draw_runs(one, panel.lines, styles)
        one.set(title=panel.title)
        one.set_xticks(range(len(names)), names, rotation=90)
    add_legend(figure, group_handles(styles, _groups(shown), lines=True))
    return figure


def draw_history(
    trials: Mapping[str, Sequence[tuple[float, float]]],
    best: Sequence[tuple[float, float]],
    y_label: str,
) -> "Figure":
    """Draws a sweep's objective, trial after trial.

    Args:
        trials: (number, objective) by state.
        best: (number, best objective so far).
    """
    figure, (axes,) = panels(1, 1, 2.6)
    handles = []
    for number, (state, points) in enumerate(trials.items()):
        style = _numbered_style(number)
        numbers, values = zip(*points, strict=True)
        axes.scatter(numbers, values, s=22, c=style.colour, marker=style.mark, zorder=3)
        handles.append(entry(state, style, line=False))
    if best:
        axes.step(*zip(*best, strict=True), where="post", color="#777777", lw=1.2)
        handles.append(entry("best so far", GroupStyle("#777777", ""), line=True))
    axes.set(xlabel="trial", ylabel=y_label)
    _use_integer_ticks(axes)
    add_legend(figure, handles)
    return figure


def _use_integer_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
