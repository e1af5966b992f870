"""Draws curves.png: the losses and metrics of a run over its steps."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.plotting.style import new_figure
from mtl_sharing.run_folder.layout import CURVES
from mtl_sharing.run_folder.manifest import replace_listed
from mtl_sharing.run_folder.results import MAIN, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The last two are of the split that selects: dev, or the part held out of train.
TRAINING, LOSS, METRIC = PANELS = ("training loss", "loss", "metric")
PERFORMANCE = "performance"
# Split, task and metric. A metrics.csv that somebody else wrote may have other columns.
_EVALUATED = re.compile(r"(dev|select)/[^/]+/[^/]+")
# How many letters fit in one line above a panel, and in the legend.
_LETTERS, _LEGEND_LETTERS = 55, 150


@dataclass(frozen=True)
class Line:
    """One metric over the steps.

    Attributes:
        task: name of the task, or ``performance``, the mean over all tasks.
        points: step and value of each evaluation. A line of a training loss ends with its phase:
            the next phase may have another loss.
    """

    panel: str
    task: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Span:
    """The steps of one phase: those after ``begin``, up to ``end``."""

    phase: str
    begin: int
    end: int


@dataclass(frozen=True)
class Curves:
    """Everything that the figure shows.

    Attributes:
        metrics: each task's metric, None if it was never evaluated. The order is that of the
            evaluations, so that a task's colour does not depend on which trained first.
        spans: the phases in order; empty for a main training alone.
        split: the split that selects: ``dev``, or ``select``, the part held out of train.
    """

    lines: tuple[Line, ...]
    metrics: dict[str, str | None]
    spans: tuple[Span, ...]
    split: str = "dev"


def read_curves(history: Sequence[Row]) -> Curves:
    """The curves of a run, from the rows of metrics.csv in their order."""
    phases = [
        (phase, list(rows))
        for phase, rows in groupby(history, key=lambda row: str(row.get("phase", MAIN)))
    ]
    trained = [line for phase, rows in phases for line in _training_lines(phase, rows)]
    names = _columns(history)
    columns = [tuple(name.split("/")) for name in names if _EVALUATED.fullmatch(name)]
    evaluated = [
        _line(history, LOSS if metric == "loss" else METRIC, task, f"{split}/{task}/{metric}")
        for split, task, metric in columns
    ]
    if PERFORMANCE in names:
        evaluated.append(_line(history, METRIC, PERFORMANCE, PERFORMANCE))
    metrics: dict[str, str | None] = {t: metric for _, t, metric in columns if metric != "loss"}
    unevaluated = dict.fromkeys(line.task for line in trained if line.task not in metrics)
    split = columns[0][0] if columns else "dev"
    return Curves((*trained, *evaluated), metrics | unevaluated, _spans(phases), split)


def _columns(rows: Iterable[Row]) -> dict[str, None]:
    return dict.fromkeys(name for row in rows for name in row)


def _training_lines(phase: str, rows: Sequence[Row]) -> Iterator[Line]:
    prefix = "train/" if phase == MAIN else f"train/{phase}."
    for name in _columns(rows):
        if name.startswith(prefix) and name.endswith("/loss"):
            yield _line(rows, TRAINING, name.removeprefix(prefix).removesuffix("/loss"), name)


def _line(rows: Sequence[Row], panel: str, task: str, name: str) -> Line:
    return Line(panel, task, tuple((row["step"], row[name]) for row in rows if name in row))


def _spans(phases: Sequence[tuple[str, list[Row]]]) -> tuple[Span, ...]:
    if {phase for phase, _ in phases} <= {MAIN}:
        return ()
    steps = [0, *(int(rows[-1]["step"]) for _, rows in phases)]
    bounds = pairwise(steps)
    return tuple(Span(phase, *bound) for (phase, _), bound in zip(phases, bounds, strict=True))


def draw_curves(folder: Path, history: Sequence[Row], title: str) -> None:
    """Replaces curves.png in a run's folder."""
    figure = curve_figure(read_curves(history), title)
    replace_listed(folder, {CURVES: partial(figure.savefig, format="png", dpi=120)})


def curve_figure(curves: Curves, title: str) -> "Figure":
    """The figure: each task has one colour in all panels, and phases are shaded spans."""
    from matplotlib.lines import Line2D

    colours, names = _colours(list(curves.metrics)), _legend(curves)
    longest = max(map(len, names.values()), default=0)
    columns = max(1, min(len(names), _LEGEND_LETTERS // (longest + 8)))
    titles = {TRAINING: TRAINING, LOSS: f"{curves.split} loss", METRIC: curves.split}
    figure = new_figure(3.7 + 0.2 * -(-len(names) // columns), width=12)
    for axes, panel in zip(figure.subplots(1, len(PANELS), sharex=True), PANELS, strict=True):
        _draw_spans(axes, curves.spans)
        for line in curves.lines:
            if line.panel == panel:
                x, y = zip(*line.points, strict=True)
                width = 2.5 if line.task == PERFORMANCE else 1.5
                axes.plot(x, y, linewidth=width, color=colours[line.task], marker=".")
        axes.set(title=titles[panel], xlabel="step")
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
