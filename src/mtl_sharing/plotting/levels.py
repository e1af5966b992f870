"""Values to compare with, across a panel: a constant answer's, separate models', what is enough."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

FLOOR, SEPARATE = "a constant answer", "separate models"
_DASHES = {FLOOR: ":", SEPARATE: "--"}
_ENOUGH = "-."
_GREY = "#666666"
# How far from the data a level is still drawn, relative to their range.
_REACH = 0.4


@dataclass(frozen=True)
class Level:
    """A value across a panel, and its interval, if there is one."""

    name: str
    value: float
    interval: tuple[float, float] | None = None


def reference_levels(
    floor: float | None,
    reference: float | None,
    keep: float | None,
    interval: tuple[float, float] | None = None,
) -> list[Level]:
    """The levels of a performance: the floor, separate models, and the share to keep of theirs."""
    levels = [] if floor is None else [Level(FLOOR, floor)]
    if reference is not None:
        levels.append(Level(SEPARATE, reference, interval))
        if keep is not None and keep < 1:
            levels.append(Level(f"{100 * keep:.4g}% of {SEPARATE}", keep * reference))
    return levels


def draw_levels(axes: "Axes", levels: Sequence[Level], label: str = "") -> list[Level]:
    """Draws the levels near the data as lines, and says in the label of y where others are.

    A line far away would leave no room for the data.

    Returns:
        The levels that are drawn.
    """
    low, high = axes.get_ylim()
    reach = _REACH * (high - low)
    near = [level for level in levels if low - reach <= level.value <= high + reach]
    for level in near:
        axes.axhline(level.value, color=_GREY, lw=1.1, linestyle=_dash(level.name), zorder=1.5)
        if level.interval is not None:
            ends = max(level.interval[0], low - reach), min(level.interval[1], high + reach)
            axes.axhspan(*ends, color=_GREY, alpha=0.1, lw=0, zorder=0.5)
    notes = [
        f"{level.name}: {level.value:.3g}, {'below' if level.value < low else 'above'}"
        for level in levels if level not in near
    ]  # fmt: skip
    axes.set_ylabel("\n".join(filter(None, [label, *notes])))
    return near


def level_handles(drawn: Iterable[Level]) -> list["Line2D"]:
    """A legend entry for each kind of level that is drawn somewhere."""
    from matplotlib.lines import Line2D

    names = dict.fromkeys(level.name for level in drawn)
    return [Line2D([], [], color=_GREY, lw=1.1, ls=_dash(name), label=name) for name in names]


def _dash(name: str) -> Any:
    return _DASHES.get(name, _ENOUGH)
