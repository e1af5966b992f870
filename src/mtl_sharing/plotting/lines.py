"""Figures with lines in small panels: splits, schedules, training curves, cosines, histories."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One line of a panel; ``group`` decides its style."""

    group: str
    points: Points


Panels = Mapping[str, Sequence[Line]]
"""The lines of each pair of axes, by its title."""


def thinned(line: Line) -> Line:
    """The line with at most :data:`MOST_POINTS` points, its first and last among them."""
    count = len(line.points)
    if count <= MOST_POINTS:
        return line
    kept = [round(number * (count - 1) / (MOST_POINTS - 1)) for number in range(MOST_POINTS)]
    return Line(line.group, tuple(line.points[k] for k in kept))


def means(lines: Iterable[Line]) -> list[Line]:
    """The mean of each group's lines, at every x that all lines of the group have."""
    by_group: dict[str, list[dict[float, float]]] = defaultdict(list)
    for line in lines:
        by_group[line.group].append(dict(line.points))
    averages = []
    for group, values in by_group.items():
        shared = sorted(set.intersection(*map(set, values)))
        averages.append(Line(group, tuple((x, fmean(v[x] for v in values)) for x in shared)))
    return averages


def mean_at(points: Points) -> dict[float, float]:
    """The mean of the values at each x, in ascending order."""
    values: dict[float, list[float]] = defaultdict(list)
    for x, y in points:
        values[x].append(y)
    return {x: fmean(values[x]) for x in sorted(values)}


def draw_curves(shown: Panels, styles: GroupStyles) -> "Figure":
    """Draws each run over its steps as a thin line, the mean of a group's runs as a thick one."""
    figure, axes = panels(shown, 2 if len(shown) == 4 else 3, x_label="step")
    for one, lines in zip(axes, shown.values(), strict=True):
        _draw_runs(one, lines, styles)
    add_legend(figure, group_handles(styles, _groups(shown), lines=True))
    return figure


def _groups(shown: Panels) -> list[str]:
    return list(dict.fromkeys(line.group for lines in shown.values() for line in lines))


def _draw_runs(axes: "Axes", lines: Sequence[Line], styles: GroupStyles) -> None:
    """Draws each line thin, then the mean of each named group thick."""
    from matplotlib.collections import LineCollection

    by_style: dict[GroupStyle, list[Points]] = defaultdict(list)
    for line in map(thinned, lines):
        by_style[styles.get(line.group, OTHER)].append(line.points)
    for style, runs in by_style.items():
        layer = 1 if style is OTHER else 2
        thin = LineCollection(runs, colors=style.colour, linewidths=0.7, alpha=0.5, zorder=layer)
        axes.add_collection(thin)
    axes.autoscale_view()
    for line in map(thinned, means(line for line in lines if line.group in styles)):
        style = styles[line.group]
        mark = style.mark if len(line.points) <= 15 else ""
        x, y = zip(*line.points, strict=True)
        axes.plot(x, y, style.dash, color=style.colour, marker=mark, ms=3.5, zorder=3)


def draw_splits(shown: Panels) -> "Figure":
    """Draws every run as a point over its split, and the mean at each split as a line."""
    groups = _groups(shown)
    styles = choose_styles(groups)
    figure, axes = panels(shown, 3, x_label="shared layers")
    for one, lines in zip(axes, shown.values(), strict=True):
        for line in lines:
            style, mean = styles.get(line.group, OTHER), mean_at(line.points)
            x, y = zip(*line.points, strict=True)
            one.scatter(x, y, s=16, c=style.colour, marker=style.mark, alpha=0.5, lw=0)
            one.plot(list(mean), list(mean.values()), style.dash, color=style.colour)
    if len(groups) > 1:
        add_legend(figure, group_handles(styles, groups, lines=True))
    return figure


def draw_schedules(lines: Sequence[Line]) -> "Figure":
    """Draws alpha over the epochs, a line for each schedule."""
    figure, (axes,) = panels([""], 1, 2.6, "epoch")
    handles = []
    for number, line in enumerate(lines):
        style = GroupStyle(*(values[number % len(values)] for values in (COLOURS, MARKS, DASHES)))
        x, y = zip(*line.points, strict=True)
        # Marks, as there may be one epoch alone; transparent, as equal lines hide each other.
        axes.plot(x, y, style.dash, color=style.colour, marker=style.mark, ms=4, alpha=0.9)
        handles.append(entry(wrap(line.group), style, line=True))
    axes.set(ylabel="alpha", ylim=(-0.05, 1.05))
    add_legend(figure, handles)
    return figure


def draw_cosines(shown: Panels, stages: Sequence[str], styles: GroupStyles) -> "Figure":
    """Draws the cosine of two tasks' gradients at each shared stage; ``x`` counts the stages."""
    figure, axes = panels(shown, 3, 2.5, "stage")
    names = [stage.removeprefix("layer.") for stage in stages]
    for one, lines in zip(axes, shown.values(), strict=True):
        one.axhline(0, color="#999999", lw=0.8)
        _draw_runs(one, lines, styles)
        one.set_xticks(range(len(names)), names, rotation=90)
    add_legend(figure, group_handles(styles, _groups(shown), lines=True))
    return figure


def draw_history(history: Sequence[tuple[int, float, float]], y_label: str) -> "Figure":
    """Draws a sweep's objective: trial, value and best so far of each complete trial."""
    figure, (axes,) = panels([""], 1, 2.6, "trial")
    trials, values, best = zip(*history, strict=True)
    complete, so_far = GroupStyle(COLOURS[0]), GroupStyle("#777777", "")
    axes.scatter(trials, values, s=22, c=complete.colour, marker=complete.mark, zorder=3)
    axes.step(trials, best, where="post", color=so_far.colour, lw=1.2)
    axes.set(ylabel=y_label)
    add_legend(figure, [entry("complete", complete, False), entry("best so far", so_far, True)])
    return figure
