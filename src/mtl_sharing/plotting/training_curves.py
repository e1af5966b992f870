"""Draws curves.png: the losses and metrics of a run over its steps."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.plotting.curve_data import PANELS, PERFORMANCE, Curves, Line, Span, read_curves
from mtl_sharing.plotting.style import new_figure
from mtl_sharing.run_folder.layout import CURVES
from mtl_sharing.run_folder.metrics import Row
from mtl_sharing.utils.files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# How many letters fit in one line above a panel, and in the legend.
_LETTERS, _LEGEND_LETTERS = 55, 150


def draw_curves(folder: Path, history: Sequence[Row], title: str) -> None:
    """Replaces curves.png in a run's folder."""
    figure = curve_figure(read_curves(history), title)
    replace_file(folder / CURVES, lambda path: figure.savefig(path, format="png", dpi=120))


def curve_figure(curves: Curves, title: str) -> "Figure":
    """The figure: each task has one colour in all panels, and phases are shaded spans."""
    from matplotlib.lines import Line2D

    colours, names = _colours(list(curves.metrics)), _legend(curves)
    columns = _legend_columns(names.values())
    figure = new_figure(3.7 + 0.2 * -(-len(names) // columns), width=12)
    for axes, panel in zip(figure.subplots(1, len(PANELS), sharex=True), PANELS, strict=True):
        _draw_spans(axes, curves.spans)
        for line in curves.lines:
            if line.panel == panel:
                _draw_line(axes, line, colours[line.task])
        axes.set(title=curves.title(panel), xlabel="step")
        axes.grid(alpha=0.3)
    handles = [Line2D([], [], color=colours[t], marker=".", label=names[t]) for t in names]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize="small")
    figure.suptitle(title)
    return figure


def _colours(tasks: Sequence[str]) -> dict[str, Any]:
    """A colour for each task, and black for the performance."""
    from matplotlib import colormaps

    palettes = [colormaps["tab10"], colormaps["tab20"], colormaps["turbo"].resampled(len(tasks))]
    palette = next((p for p in palettes if len(tasks) <= p.N), palettes[-1])
    return {task: palette(number) for number, task in enumerate(tasks)} | {PERFORMANCE: "black"}


def _draw_line(axes: "Axes", line: Line, colour: Any) -> None:
    width = 2.5 if line.task == PERFORMANCE else 1.5
    axes.plot(*zip(*line.points, strict=True), linewidth=width, color=colour, marker=".")


def _draw_spans(axes: "Axes", spans: Sequence[Span]) -> None:
    """Shades every other phase and labels all, vertically where a label is too long."""
    if not spans:
        return
    for span in spans[::2]:
        axes.axvspan(span.begin, span.end, color="black", alpha=0.06, linewidth=0)
    total = max(1, spans[-1].end)
    long = any(len(s.phase) / _LETTERS > (s.end - s.begin) / total for s in spans)
    above = axes.secondary_xaxis("top")
    above.set_xticks(_label_positions(spans, total / _LETTERS * 2.5 if long else 0.0))
    above.set_xticklabels([s.phase for s in spans], rotation=90 if long else 0)
    above.tick_params(length=0, labelsize="x-small")


def _label_positions(spans: Sequence[Span], least: float) -> list[float]:
    """The middle of each span, but at least ``least`` steps after the label before."""
    positions: list[float] = []
    for span in spans:
        middle = (span.begin + span.end) / 2
        positions.append(max(middle, positions[-1] + least) if positions else middle)
    return positions


def _legend(curves: Curves) -> dict[str, str]:
    """A label for each task, with its metric in parentheses."""
    names = {task: f"{task} ({m})" if m else task for task, m in curves.metrics.items()}
    overall = any(line.task == PERFORMANCE for line in curves.lines)
    return names | ({PERFORMANCE: PERFORMANCE} if overall else {})


def _legend_columns(names: Collection[str]) -> int:
    return max(1, min(len(names), _LEGEND_LETTERS // (max(map(len, names), default=0) + 8)))
