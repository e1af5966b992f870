"""The figure of :mod:`benchmarks.scaling`: a column for each panel, rate above memory."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scaling import Cost, panels
from mtl_sharing.utils.files import replace_file

_X_LABELS = {
    "batch size": "examples of each task in a step",
    "length": "tokens of each text",
    "tasks": "tasks",
    "layers": "encoder layers",
}
_ROWS: tuple[tuple[str, Callable[[Cost], float]], ...] = (
    ("examples/s", lambda cost: cost.examples / cost.step_s),
    ("milliseconds of a step", lambda cost: cost.step_s * 1e3),
    ("peak memory of training, MB", lambda cost: cost.peak_bytes / 1e6),
)
_LABELS = {"shared": "one shared trunk", "individual": "separate models"}

Line = tuple[str, list[int], list[float]]


def lines(costs: Sequence[Cost]) -> dict[tuple[str, str], list[Line]]:
    """The plotted data: (panel, y label) to lines of (label, x values, y values)."""
    return {
        (panel, label): [
            (_LABELS[sharing], [one.point.value for one in line], [value(one) for one in line])
            for sharing, line in by_sharing.items()
        ]
        for panel, by_sharing in panels(costs).items()
        for label, value in _ROWS
    }


def draw(costs: Sequence[Cost], path: Path) -> None:
    """Replaces the figure at ``path``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    data = lines(costs)
    names = list(dict.fromkeys(panel for panel, _ in data))
    figure = Figure(figsize=(3.6 * len(names), 3.0 * len(_ROWS)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(_ROWS), len(names), squeeze=False)
    for row, (label, _) in enumerate(_ROWS):
        for column, panel in enumerate(names):
            _draw_panel(grid[row][column], panel, label, data[panel, label])
    replace_file(path, lambda temporary: figure.savefig(temporary, format="png", dpi=120))


def _draw_panel(axes: Any, panel: str, label: str, drawn: Sequence[Line]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    for name, x, y in drawn:
        axes.plot(x, y, marker="o", label=name)
    axes.set(xlabel=_X_LABELS[panel], ylabel=label, xscale="log", yscale="log")
    ticks = sorted({value for _, x, _ in drawn for value in x})
    axes.set_xticks(ticks, [str(value) for value in ticks])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if len(drawn) > 1:
        axes.legend(fontsize="small")
