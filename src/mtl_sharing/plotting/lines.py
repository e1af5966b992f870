"""Figures with lines in small panels: splits, schedules, training curves, cosines."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from mtl_sharing.plotting.levels import Level, draw_levels, level_handles
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
# Stages that are no layers, as plans call them, and how many names fit below a panel.
_STAGES, _MOST_STAGES = {"embeddings": "E", "pooler": "P"}, 16
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One line of a panel.

    Attributes:
        group: decides its style.
        points: x and y; of several seeds one for each.
        intervals: x and both ends of the interval of the mean over seeds, where there is one.
    """

    group: str
    points: Points
    intervals: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class Panel:
    """The lines of one pair of axes, the label of y and the levels to compare with."""

    lines: Sequence[Line]
    label: str = ""
    levels: Sequence[Level] = ()


Panels = Mapping[str, Panel]
"""Panels by their titles."""


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
    figure, axes = panels(shown, 2, x_label="step")
    drawn: list[Level] = []
    for one, panel in zip(axes, shown.values(), strict=True):
        _draw_runs(one, panel.lines, styles)
        drawn += draw_levels(one, panel.levels, panel.label)
    handles = group_handles(styles, _groups(shown), lines=True)
    add_legend(figure, [*handles, *level_handles(drawn)])
    return figure


def _groups(shown: Panels) -> list[str]:
    return list(dict.fromkeys(line.group for panel in shown.values() for line in panel.lines))


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
    """Draws every run as a point over its split, the means as a line, and their intervals."""
    groups = _groups(shown)
    figure, axes = panels(shown, 2, x_label="shared encoder layers")
    styles, drawn = choose_styles(groups), []
    for one, panel in zip(axes, shown.values(), strict=True):
        _draw_means(one, panel.lines, styles)
        drawn += draw_levels(one, panel.levels, panel.label)
    handles = group_handles(styles, groups, lines=True) if len(groups) > 1 else []
    add_legend(figure, [*handles, *level_handles(drawn)])
    return figure


def draw_cosines(shown: Panels, stages: Sequence[str], styles: GroupStyles) -> "Figure":
    """Draws the cosine of two tasks' gradients at each shared stage; ``x`` counts the stages."""
    figure, axes = panels(shown, 2, x_label="encoder layer (E embeddings, P pooler)")
    names = [_STAGES.get(stage, stage.removeprefix("layer.")) for stage in stages]
    every = 1 + len(names) // _MOST_STAGES
    for one, panel in zip(axes, shown.values(), strict=True):
        one.axhline(0, color="#999999", lw=0.8)
        _draw_means(one, panel.lines, styles)
        one.set_xticks(range(0, len(names), every), names[::every])
        one.set_ylabel(panel.label)
    add_legend(figure, group_handles(styles, _groups(shown), lines=True))
    return figure


def _draw_means(axes: "Axes", lines: Sequence[Line], styles: GroupStyles) -> None:
    """Draws seeds as pale points, their means as a line, and the intervals of these as bars.

    The lines are shifted a little, so that the bars of two stand beside each other.
    """
    places = [x for line in lines for x, _ in line.points]
    apart = 0.012 * (max(places) - min(places))
    for number, line in enumerate(lines):
        style, shift = styles.get(line.group, OTHER), apart * (number - (len(lines) - 1) / 2)
        layer, mean = 2 if style is OTHER else 3, mean_at(line.points)
        if len(line.points) > len(mean):
            x, y = zip(*line.points, strict=True)
            axes.scatter([p + shift for p in x], y, s=11, c=style.colour, alpha=0.5, lw=0)
        axes.plot([p + shift for p in mean], list(mean.values()), style.dash, color=style.colour,
                  marker=style.mark, ms=4, zorder=layer)  # fmt: skip
        for place, low, high in line.intervals:
            axes.vlines(place + shift, low, high, color=style.colour, lw=1.2, zorder=layer)


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
    axes.set(ylabel="exponent of the tasks' sizes (alpha)", ylim=(-0.05, 1.05))
    add_legend(figure, handles)
    return figure
