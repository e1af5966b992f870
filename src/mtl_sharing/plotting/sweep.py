"""sweep.png: performance against cost and split, the search's history, what mattered."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

from mtl_sharing.score.objectives import DIRECTIONS, UP
from mtl_sharing.utils.files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = "sweep.png"
# Of a failed trial nothing is known to draw.
_COLOURS = {"COMPLETE": "tab:blue", "PRUNED": "tab:orange"}
_NAMES = {"COMPLETE": "complete", "PRUNED": "pruned: at its last evaluation"}
Row = dict[str, Any]


def draw_sweep(
    folder: Path,
    rows: Sequence[Row],
    objectives: Sequence[str],
    reference: float | None,
    study: optuna.Study,
) -> None:
    """Replaces sweep.png."""
    # Agg draws without a display and without a window's state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    draw_split(axes[0][0], split_data(rows), reference)
    draw_cost(axes[0][1], cost_data(rows), reference)
    draw_history(axes[1][0], history_data(rows, objectives), objectives[0])
    draw_importance(axes[1][1], importance_data(study))
    figure.suptitle(title_of(study.study_name, rows))
    replace_file(folder / PICTURE, lambda path: figure.savefig(path, dpi=110, format="png"))


def title_of(name: str, rows: Sequence[Row]) -> str:
    """The sweep's name, and how many trials it trained."""
    equal = sum(row["same_as"] is not None for row in rows)
    answered = f", {equal} more drawn equal to them" if equal else ""
    return f"{name}: {len(rows) - equal} trials{answered}"


def split_data(rows: Sequence[Row]) -> list[tuple[int, float, str, str]]:
    """(layers that all tasks share, performance, state, regime) of every trial with a figure."""
    found = ((row["regime"], _performance(row), row["state"]) for row in rows)
    return [
        (shared_layers(regime), value, state, regime)
        for regime, value, state in found
        if regime and value is not None
    ]


def shared_layers(regime: str) -> int:
    """How many encoder layers of a regime, as in ``F2-S4-I6/S-I + pals 16``, have one copy."""
    plan = regime.split()[0].partition("/")[0]
    return sum(int(depth) for depth in re.findall(r"(?:^|-)[FS](\d+)", plan))


def _performance(row: Row) -> float | None:
    """Of a complete trial its figure, of a pruned one its last report."""
    value = row.get("performance")
    return value if value is not None else row.get("last_report")


def cost_data(rows: Sequence[Row]) -> list[tuple[float, float, str, bool]]:
    """(parameters in M, performance, regime, on the Pareto front) of each complete trial."""
    found = [
        (row["parameters"] / 1e6, row["performance"], row["regime"])
        for row in rows
        if row["state"] == "COMPLETE" and row["same_as"] is None
    ]
    # Of equal sizes the best first: the others are behind it.
    found.sort(key=lambda one: (one[0], -one[1]))
    front, best = [], float("-inf")
    for parameters, performance, regime in found:
        front.append((parameters, performance, regime, performance > best))
        best = max(best, performance)
    return front


def history_data(rows: Sequence[Row], objectives: Sequence[str]) -> list[tuple[int, float, float]]:
    """(trial, first objective, best so far) of each complete trial."""
    better = max if DIRECTIONS[objectives[0]] == UP else min
    found: list[tuple[int, float, float]] = []
    for row in rows:
        value = row[f"objective/{objectives[0]}"]
        if value is not None:
            best = better(value, found[-1][2]) if found else value
            found.append((row["trial"], value, best))
    return found


def importance_data(study: optuna.Study) -> dict[str, float]:
    """How much each parameter mattered for the first objective; empty with too few trials."""
    several = len(study.directions) > 1
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.values[0] for trial in complete}) < 2:
        return {}  # where nothing differs, Optuna calls all parameters equally important
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return optuna.importance.get_param_importances(
                study, target=(lambda trial: trial.values[0]) if several else None
            )
        except (ValueError, RuntimeError):
            return {}


def draw_split(
    axes: "Axes", data: Sequence[tuple[int, float, str, str]], reference: float | None
) -> None:
    """Every trial's performance over the layers that it shares."""
    axes.set(
        title="performance against shared layers",
        xlabel="encoder layers with one copy for all tasks",
        ylabel="performance",
    )
    for state, colour in _COLOURS.items():
        chosen = [(split, value) for split, value, found, _ in data if found == state]
        if chosen:
            splits, values = zip(*chosen, strict=True)
            axes.scatter(splits, values, c=colour, label=_NAMES[state], alpha=0.8)
    if data:
        axes.legend(loc="lower left")
    else:
        _say(axes, "no trial has been evaluated")
    _reference_line(axes, reference)


def draw_cost(
    axes: "Axes", data: Sequence[tuple[float, float, str, bool]], reference: float | None
) -> None:
    """Performance over parameters; the Pareto front with names."""
    axes.set(title="performance against size", xlabel="million parameters", ylabel="performance")
    for parameters, value, regime, front in data:
        axes.scatter([parameters], [value], c="tab:blue" if front else "lightgray", zorder=2)
        if front:
            axes.annotate(regime, (parameters, value), textcoords="offset points",
                          xytext=(5, -11), fontsize=8)  # fmt: skip
    line = [(parameters, value) for parameters, value, _, front in data if front]
    if line:
        axes.step(*zip(*line, strict=True), where="post", c="tab:blue", alpha=0.5)
    _reference_line(axes, reference)


def _reference_line(axes: "Axes", reference: float | None) -> None:
    if reference is not None:
        axes.axhline(reference, c="gray", ls="--", lw=1)
        axes.annotate("separate models", (0.99, reference), xycoords=("axes fraction", "data"),
                      ha="right", va="bottom", fontsize=8, color="gray")  # fmt: skip


def draw_history(axes: "Axes", data: Sequence[tuple[int, float, float]], objective: str) -> None:
    """The objective of each trial and the best up to it."""
    axes.set(title="history", xlabel="trial", ylabel=objective)
    if data:
        trials, values, best = zip(*data, strict=True)
        axes.scatter(trials, values, c="tab:blue")
        axes.step(trials, best, where="post", c="tab:green", label="best so far")
        axes.legend(loc="upper left")


def draw_importance(axes: "Axes", data: dict[str, float]) -> None:
    """A bar for each parameter, the most important on top."""
    axes.set(title="importance of parameters", xlabel="share of the objective's variance")
    if data:
        names = list(reversed(data))
        axes.barh(names, [data[name] for name in names], color="tab:blue")
    else:
        _say(axes, "too few complete trials")


def _say(axes: "Axes", words: str) -> None:
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, color="gray")
