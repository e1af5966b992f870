"""Draws curves.png: the metrics and losses of a run over its steps."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.plotting.style import (
    COLOURS,
    GroupStyle,
    add_legend,
    drawing,
    entry,
    panels,
    rendered,
    wrap,
)
from mtl_sharing.plotting.training_curves import (
    METRIC,
    PERFORMANCE,
    TRAINING,
    Curves,
    Line,
    Span,
    read_curves,
)
from mtl_sharing.plotting.words import scale_words
from mtl_sharing.run_folder.layout import CURVES
from mtl_sharing.run_folder.manifest import replace_listed
from mtl_sharing.run_folder.results import Row
from mtl_sharing.score.performance import CORRELATIONS, unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# How many letters fit in one line above a panel, and in the title.
_LETTERS, _TITLE_LETTERS = 34, 84


@dataclass(frozen=True)
class CurveFacts:
    """The facts that the figure needs beside metrics.csv.

    Attributes:
        pearson: how a performance counts correlations, as ``score.pearson``.
        floors: each task's metric of a constant answer.
        own_losses: kinds of the phases that have a loss of their own, by phase.
    """

    pearson: str = "unit"
    floors: Mapping[str, float] = field(default_factory=dict)
    own_losses: Mapping[str, str] = field(default_factory=dict)


def draw_curves(folder: Path, history: Sequence[Row], title: str, facts: CurveFacts) -> None:
    """Replaces curves.png in a run's folder."""
    with drawing():
        figure = curve_figure(read_curves(history, facts.pearson), title, facts)
        content = rendered(figure, "png")
    replace_listed(folder, {CURVES: lambda path: path.write_bytes(content)})


def panel_lines(curves: Curves, facts: CurveFacts) -> dict[str, list[Line]]:
    """The lines of each panel, by its title: metrics, and each kind of loss by itself.

    Metrics count as in the performance: with ``score.pearson=unit`` r is (r + 1) / 2.
    """
    shown: dict[str, list[Line]] = defaultdict(list)
    for line in sorted(curves.lines, key=lambda line: line.panel != METRIC):
        metric = curves.metrics.get(line.task) or ""
        if line.panel == METRIC:
            points = tuple((step, _scaled(metric, value, facts)) for step, value in line.points)
            shown[f"metrics on {curves.split}"].append(replace(line, points=points))
            continue
        kind = "regression loss" if metric in CORRELATIONS else "classification loss"
        own = facts.own_losses.get(line.phase, "").replace("_", " ")
        shown[f"{own} loss" if own else kind].append(line)
    return shown


def _scaled(metric: str, value: float, facts: CurveFacts) -> float:
    return unit(metric, value) if facts.pearson == "unit" else value


def curve_figure(curves: Curves, title: str, facts: CurveFacts) -> "Figure":
    """The figure: each task has one colour in all panels, and phases are shaded spans."""
    shown = panel_lines(curves, facts)
    colours, names = _colours(list(curves.metrics)), _legend(curves)
    figure, axes = panels(shown, 2, 2.6, "step")
    for one, lines in zip(axes, shown.values(), strict=True):
        _draw_spans(one, curves.spans)
        for line in lines:
            x, y = zip(*line.points, strict=True)
            dash, width = "--" if line.panel == TRAINING else "-", 1.0 + (line.panel != TRAINING)
            one.plot(x, y, dash, lw=width, color=colours[line.task], marker=".", ms=4)
        if lines[0].panel == METRIC:
            _draw_floors(one, curves, facts, colours)
            one.set_ylabel(scale_words(facts.pearson))
    handles = [entry(names[t], GroupStyle(colours[t], "."), line=True) for t in names]
    add_legend(figure, [*handles, *_kinds_of_lines(curves, facts)])
    figure.suptitle(wrap(title, _TITLE_LETTERS, 2), fontsize=10, ha="left", x=0.01)
    return figure


def _draw_floors(
    axes: "Axes", curves: Curves, facts: CurveFacts, colours: Mapping[str, Any]
) -> None:
    """Draws what a constant answer to each task reaches, in the task's colour."""
    for task, floor in facts.floors.items():
        if task in colours:
            value = _scaled(curves.metrics.get(task) or "", floor, facts)
            axes.axhline(value, color=colours[task], lw=1, ls=":")


def _kinds_of_lines(curves: Curves, facts: CurveFacts) -> list[Any]:
    """Legend entries of the dashes, of those that are drawn."""
    drawn = {line.panel for line in curves.lines}
    kinds = {f"on {curves.split}": "-", "training": "--", "a constant answer": ":"}
    absent = {"training"} if TRAINING not in drawn else set()
    absent |= set(kinds) - {"training"} if METRIC not in drawn else set()
    absent |= {"a constant answer"} if not facts.floors else set()
    return [
        entry(name, GroupStyle("#777777", "", dash), line=True)
        for name, dash in kinds.items() if name not in absent
    ]  # fmt: skip


def _colours(tasks: Sequence[str]) -> dict[str, Any]:
    """A colour for each task, and black for the performance."""
    from matplotlib import colormaps

    palettes = [colormaps["tab20"], colormaps["turbo"].resampled(len(tasks))]
    palette = next((p for p in palettes if len(tasks) <= p.N), palettes[-1])
    own = COLOURS[:-1] if len(tasks) < len(COLOURS) else [*map(palette, range(len(tasks)))]
    return dict(zip(tasks, own, strict=False)) | {PERFORMANCE: "black"}


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
    above.tick_params(length=0, labelsize=8)


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
