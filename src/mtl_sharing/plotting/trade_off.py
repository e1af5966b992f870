"""Performance against parameters: a point for each group, its interval, and the Pareto front."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_sharing.plotting.style import (
    OTHER,
    GroupStyles,
    add_legend,
    group_handles,
    new_figure,
    wrap,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

# Where a point's name may stand, in points from it, with its alignment; the first that is free.
_PLACES = (
    (7, 6, "left", "bottom"),
    (7, -6, "left", "top"),
    (-7, 6, "right", "bottom"),
    (-7, -6, "right", "top"),
    (0, 10, "center", "bottom"),
    (0, -10, "center", "top"),
)
_NAME_LETTERS = 30


@dataclass(frozen=True)
class TradeOff:
    """One group: what it costs and how well it does.

    Attributes:
        parameters: of all tasks together.
        values: the performance of each seed.
        interval: of the mean; None where there are too few seeds.
        front: no other group has a higher mean with as few parameters.
    """

    group: str
    parameters: float
    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    front: bool


def draw_trade_off(points: Sequence[TradeOff], looks: GroupStyles) -> "Figure":
    """Means as large marks, seeds as small ones, intervals as bars, the front as steps."""
    figure = new_figure(4.0)
    axes = figure.subplots()
    unit, word = _unit(max(point.parameters for point in points))
    for point in sorted(points, key=lambda point: point.group in looks.named):
        _draw_point(axes, point, unit, looks)
    front = sorted((p.parameters / unit, p.mean) for p in points if p.front)
    if len(front) > 1:
        axes.step(*zip(*front, strict=True), where="post", color="#888888", lw=1, zorder=1)
    axes.set(xlabel=f"parameters of all tasks together{word}", ylabel="performance")
    axes.margins(0.12, 0.12)
    if 2 * min(p.parameters for p in points) < max(p.parameters for p in points):
        axes.set_xlim(left=0)  # shares can be seen
    add_legend(figure, group_handles(looks, [p.group for p in points], lines=False))
    _name_front(figure, axes, points, unit)
    return figure


def _unit(largest: float) -> tuple[float, str]:
    """What parameters are counted in."""
    return (1e6, ", millions") if largest >= 1e5 else (1.0, "")


def _draw_point(axes: "Axes", point: TradeOff, unit: float, looks: GroupStyles) -> None:
    look = looks.of(point.group)
    x = point.parameters / unit
    layer = 2 if look is OTHER else 4
    if point.interval is not None:
        axes.vlines(x, *point.interval, color=look.colour, lw=1.4, zorder=layer)
    if len(point.values) > 1:
        places = [x] * len(point.values)
        axes.scatter(places, point.values, s=9, c=look.colour, alpha=0.45, lw=0, zorder=layer)
    axes.scatter([x], [point.mean], s=46 if layer == 4 else 20, c=look.colour, marker=look.mark,
                 edgecolors="white", linewidths=0.8, zorder=layer + 1)  # fmt: skip


def _name_front(figure: "Figure", axes: "Axes", points: Sequence[TradeOff], unit: float) -> None:
    """Writes the regimes of the front beside its points, each where it covers nothing.

    The rest of a group's label stands in the legend.
    """
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    taken = [_around(axes, p.parameters / unit, p.interval or (p.mean, p.mean)) for p in points]
    taken += [_around(axes, p.parameters / unit, (p.mean, p.mean), 5.0) for p in points]
    for point in sorted((p for p in points if p.front), key=lambda p: -p.mean):
        for x, y, horizontal, vertical in _PLACES:
            text = axes.annotate(
                _short(point.group), (point.parameters / unit, point.mean),
                xytext=(x, y), textcoords="offset points", ha=horizontal, va=vertical,
                fontsize=8, linespacing=1.1, zorder=6, annotation_clip=False,
            )  # fmt: skip
            box = text.get_window_extent(renderer)
            if _inside(box, axes.bbox) and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def _short(group: str) -> str:
    return wrap(group.partition("  ")[0], _NAME_LETTERS, 2)


def _around(axes: "Axes", x: float, y: tuple[float, float], reach: float = 1.5) -> "Bbox":
    """The place of a mark or a bar on the canvas."""
    from matplotlib.transforms import Bbox

    (column, low), (_, high) = axes.transData.transform([(x, y[0]), (x, y[1])])
    return Bbox.from_extents(column - reach, low - reach, column + reach, high + reach)


def _inside(box: "Bbox", frame: "Bbox") -> bool:
    return box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1
