"""What a run writes down: metrics.csv, curves.png, and where it ran."""

import csv
import io
import platform
import subprocess
from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.run.curves import PANELS, PERFORMANCE, Curves, Line, Row, Span, read_curves
from mtl_sharing.run.files import replace_file, replace_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# How many letters fit beside each other, over a panel and under all of them.
_LETTERS, _LEGEND_LETTERS = 55, 150
_PACKAGES = ("torch", "hydra-core", "omegaconf", "optuna", "tokenizers", "numpy", "scipy")


def write_metrics(folder: Path, history: Sequence[Row]) -> None:
    """Replaces metrics.csv: a row for each evaluation."""
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    replace_text(folder / "metrics.csv", text.getvalue())


def draw_curves(folder: Path, history: Sequence[Row], title: str) -> None:
    """Replaces curves.png: the losses and the judged figures of every task over the steps."""
    figure = curve_figure(read_curves(history), title)
    replace_file(folder / "curves.png", lambda path: figure.savefig(path, format="png", dpi=120))


def curve_figure(curves: Curves, title: str) -> "Figure":
    """The picture: a task has one colour in all panels, and phases stand behind the lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    colours, names = _colours(list(curves.metrics)), _legend(curves)
    columns = _legend_columns(names.values())
    height = 3.7 + 0.2 * -(-len(names) // columns)
    figure = Figure(figsize=(12, height), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, panel in zip(figure.subplots(1, len(PANELS), sharex=True), PANELS, strict=True):
        _draw_spans(axes, curves.spans)
        for line in curves.lines:
            if line.panel == panel:
                _draw_line(axes, line, colours[line.task])
        axes.set(title=curves.title(panel), xlabel="step")
        axes.grid(alpha=0.3)
    marks = [Line2D([], [], color=colours[t], marker=".", label=names[t]) for t in names]
    figure.legend(handles=marks, loc="outside lower center", ncols=columns, fontsize="small")
    figure.suptitle(title)
    return figure


def _colours(tasks: Sequence[str]) -> dict[str, Any]:
    """A colour for each task, and black for the performance."""
    from matplotlib import colormaps

    palettes = [colormaps["tab10"], colormaps["tab20"], colormaps["turbo"].resampled(len(tasks))]
    palette = next((p for p in palettes if len(tasks) <= p.N), palettes[-1])
    return {task: palette(place) for place, task in enumerate(tasks)} | {PERFORMANCE: "black"}


def _draw_line(axes: "Axes", line: Line, colour: Any) -> None:
    steps, values = zip(*line.points, strict=True)
    width = 2.5 if line.task == PERFORMANCE else 1.5
    axes.plot(steps, values, linewidth=width, color=colour, marker=".")


def _draw_spans(axes: "Axes", spans: Sequence[Span]) -> None:
    """Shades every other phase, and writes the names above: upright where they are too long."""
    if not spans:
        return
    for span in spans[::2]:
        axes.axvspan(span.begin, span.end, color="black", alpha=0.06, linewidth=0)
    total = max(1, spans[-1].end)
    long = any(len(s.phase) / _LETTERS > (s.end - s.begin) / total for s in spans)
    above = axes.secondary_xaxis("top")
    above.set_xticks(_places(spans, total / _LETTERS * 2.5 if long else 0.0))
    above.set_xticklabels([s.phase for s in spans], rotation=90 if long else 0)
    above.tick_params(length=0, labelsize="x-small")


def _places(spans: Sequence[Span], least: float) -> list[float]:
    """Where each span's name stands: at its middle, but ``least`` steps after the one before."""
    places: list[float] = []
    for span in spans:
        middle = (span.begin + span.end) / 2
        places.append(max(middle, places[-1] + least) if places else middle)
    return places


def _legend(curves: Curves) -> dict[str, str]:
    """What each task is called, with what it is measured by."""
    names = {task: f"{task} ({m})" if m else task for task, m in curves.metrics.items()}
    overall = any(line.task == PERFORMANCE for line in curves.lines)
    return names | ({PERFORMANCE: PERFORMANCE} if overall else {})


def _legend_columns(names: Collection[str]) -> int:
    return max(1, min(len(names), _LEGEND_LETTERS // (max(map(len, names), default=0) + 8)))


def versions() -> dict[str, str]:
    """Versions of Python, this project and the packages that matter to a result."""
    found = {"python": platform.python_version(), "mtl-sharing": version("mtl-sharing")}
    return found | {name: version(name) for name in _PACKAGES}


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that holds ``folder``, and whether it has changes; None outside."""

    def ask(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "changed": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
