"""What a run writes down: metrics.csv, curves.png, and where it ran."""

import csv
import io
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mtl_sharing.run.files import replace_file, replace_text

Row = dict[str, Any]
_PACKAGES = ("torch", "hydra-core", "omegaconf", "optuna", "tokenizers", "numpy", "scipy")


def write_metrics(folder: Path, history: Sequence[Row]) -> None:
    """Replaces metrics.csv: a row for each evaluation."""
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    replace_text(folder / "metrics.csv", text.getvalue())


def curves(history: Sequence[Row]) -> dict[str, list[tuple[str, list[float], list[float]]]]:
    """The lines of the training curves: panel to (label, steps, values).

    Panels: ``training loss``, ``dev loss`` and ``dev`` (each task's metric, and performance); of a
    run that is judged by what was held out, ``select loss`` and ``select``.
    """
    names = list(dict.fromkeys(name for row in history for name in row))
    split = "select" if any(name.startswith("select/") for name in names) else "dev"
    panels: dict[str, list[tuple[str, list[float], list[float]]]] = {
        "training loss": [],
        f"{split} loss": [],
        split: [],
    }
    for name in names:
        panel, label = _place(name, split)
        if panel is not None:
            points = [(float(row["step"]), float(row[name])) for row in history if name in row]
            panels[panel].append((label, [x for x, _ in points], [y for _, y in points]))
    return panels


def _place(name: str, judge: str) -> tuple[str | None, str]:
    """Panel and label of a column; no panel for one that is not drawn."""
    split, _, rest = name.partition("/")
    task, _, figure = rest.partition("/")
    if name == "performance":
        return judge, "performance"
    if figure == "loss":
        return ("training loss" if split == "train" else f"{judge} loss"), task
    return (judge, f"{task} {figure}") if split == judge else (None, "")


def draw_curves(folder: Path, history: Sequence[Row], title: str) -> None:
    """Replaces curves.png: the losses and the judged figures of every task over the steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = curves(history)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (panel, lines) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for label, steps, values in lines:
            strong = label == "performance"
            width, colour = (2.5, "black") if strong else (1.5, None)
            axes.plot(steps, values, label=label, linewidth=width, color=colour, marker=".")
        axes.set(title=panel, xlabel="step")
        axes.grid(alpha=0.3)
        if lines:
            axes.legend(fontsize="small")
    figure.suptitle(title)
    replace_file(folder / "curves.png", lambda path: figure.savefig(path, format="png", dpi=120))


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
