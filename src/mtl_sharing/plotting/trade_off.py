"""Performance against parameters: each group, its interval, the Pareto front, what is enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_sharing.plotting.levels import Level, draw_levels, level_handles
from mtl_sharing.plotting.style import (
    COLOURS,
    INK,
    OTHER,
    GroupStyle,
    GroupStyles,
    add_legend,
    entry,
    group_handles,
    new_figure,
    wrap,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

# Candidate positions of a label: offset in points from its mark, and alignment.
_LABEL_POSITIONS = (
    (7, 6, "left", "bottom"), (7, -6, "left", "top"), (-7, 6, "right", "bottom"),
    (-7, -6, "right", "top"), (0, 10, "center", "bottom"), (0, -10, "center", "top"),
)  # fmt: skip
_LABEL_LETTERS = 30
_CHOSEN = COLOURS[1]


@dataclass(frozen=True)
class TradeOff:
    """Performance of one group over the number of parameters of all tasks together.

    Attributes:
        interval: confidence interval of the mean; None with too few seeds.
        front: whether the group is on the Pareto front: no group as small has a higher mean.
        data: names what it was measured on; groups of other data are not compared.
        flagged: whether a task is at or below a constant answer, or not trained.
    """

    group: str
    parameters: float
    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    front: bool = False
    flagged: bool = False
    data: str = ""


def draw_trade_off(
    points: Sequence[TradeOff],
    styles: GroupStyles,
    levels: Sequence[Level] = (),
    label: str = "performance",
    chosen: str | None = None,
) -> "Figure":
    """Draws means as large marks, seeds as small ones, intervals as bars, the front as steps.

    Args:
        levels: the floor, separate models, and what is enough.
        label: of y.
        chosen: the group with a ring around its mark.
    """
    figure = new_figure(4.2)
    axes = figure.subplots()
    sizes = [point.parameters for point in points]
    unit, unit_name = (1e6, ", millions") if max(sizes) >= 1e5 else (1.0, "")
    for point in sorted(points, key=lambda point: point.group in styles):
        _draw_point(axes, point, unit, styles)
    for data in dict.fromkeys(point.data for point in points):
        front = sorted((p.parameters / unit, p.mean) for p in points if p.front and p.data == data)
        if len(front) > 1:
            axes.step(*zip(*front, strict=True), where="post", color="#888888", lw=1, zorder=1)
    for point in (point for point in points if point.group == chosen):
        axes.scatter([point.parameters / unit], [point.mean], s=190, facecolors="none",
                     edgecolors=_CHOSEN, linewidths=1.8, zorder=6)  # fmt: skip
    axes.set_xlabel(f"parameters of all tasks together{unit_name}")
    axes.margins(0.12, 0.12)
    drawn = draw_levels(axes, levels, label)
    if 2 * min(sizes) < max(sizes):
        axes.set_xlim(left=0)  # so that lengths compare as the sizes do
    handles = group_handles(styles, [p.group for p in points], lines=False)
    if any(point.group == chosen for point in points):
        handles.append(entry("chosen", GroupStyle(_CHOSEN), line=False))
        handles[-1].set(markerfacecolor="none", markersize=8, markeredgewidth=1.8)
    add_legend(figure, [*handles, *level_handles(drawn)])
    _label_front(figure, axes, points, unit, chosen)
    return figure


def _draw_point(axes: "Axes", point: TradeOff, unit: float, styles: GroupStyles) -> None:
    style, x = styles.get(point.group, OTHER), point.parameters / unit
    layer, size = (2, 20) if style is OTHER else (4, 46)
    if point.interval is not None:
        axes.vlines(x, *point.interval, color=style.colour, lw=1.2, zorder=layer)
    if len(point.values) > 1:
        xs = [x] * len(point.values)
        axes.scatter(xs, point.values, s=12, c=style.colour, alpha=0.6, lw=0, zorder=layer)
    axes.scatter([x], [point.mean], s=size, c=style.colour, marker=style.mark,
                 edgecolors="white", linewidths=0.8, zorder=layer + 1)  # fmt: skip
    if point.flagged:
        # Below the mark, which keeps its colour; the arms stand out.
        axes.scatter([x], [point.mean], s=3 * size, c="#222222", marker="x", lw=1, zorder=layer)


def _label_front(
    figure: "Figure", axes: "Axes", points: Sequence[TradeOff], unit: float, chosen: str | None
) -> None:
    """Labels the chosen point, then those of the front, where the text covers nothing.

    The legend has the complete labels of the groups.
    """
    figure.canvas.draw()
    taken = [_around(axes, p.parameters / unit, p.interval or (p.mean, p.mean)) for p in points]
    taken += [_around(axes, p.parameters / unit, (p.mean, p.mean), 5.0) for p in points]
    named = [point for point in points if point.front or point.group == chosen]
    for point in sorted(named, key=lambda p: (p.group != chosen, -p.mean)):
        label = wrap(point.group.partition("  ")[0], _LABEL_LETTERS, 2)
        for x, y, horizontal, vertical in _LABEL_POSITIONS:
            text = axes.annotate(
                label, (point.parameters / unit, point.mean),
                xytext=(x, y), textcoords="offset points", ha=horizontal, va=vertical,
                fontsize=9, linespacing=1.1, zorder=6, annotation_clip=False,
                bbox={"facecolor": "white", "alpha": 0.7, "lw": 0, "pad": 0.4},
            )  # fmt: skip
            text.set_color(_CHOSEN if point.group == chosen else INK)
            box = text.get_window_extent()
            inside = axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max)
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def _around(axes: "Axes", x: float, y: tuple[float, float], margin: float = 1.5) -> "Bbox":
    """The box of a mark or a bar in pixels."""
    from matplotlib.transforms import Bbox

    (column, low), (_, high) = axes.transData.transform([(x, y[0]), (x, y[1])])
    return Bbox.from_extents(column - margin, low - margin, column + margin, high + margin)
