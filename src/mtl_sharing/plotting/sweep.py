"""Draws sweep.png: performance over sharing and size, history, importance of parameters."""

import re
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.plotting.style import new_figure
from mtl_sharing.score.clock import clock_of_rows
from mtl_sharing.score.objectives import DIRECTIONS, UP
from mtl_sharing.score.performance import FLOOR_FLAG
from mtl_sharing.utils.files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from optuna import Study

PICTURE = "sweep.png"
# Colour and legend of each state; a failed trial has nothing to draw.
AT_FLOOR = "AT_FLOOR"
_STATES = {
    "COMPLETE": ("tab:blue", "complete"),
    AT_FLOOR: ("tab:red", f"a task {FLOOR_FLAG}"),
    "PRUNED": ("tab:orange", "pruned: at its last evaluation"),
}
FRONT, BEHIND = "tab:blue", "lightgray"
Row = dict[str, Any]


def draw_sweep(
    folder: Path,
    rows: Sequence[Row],
    objectives: Sequence[str],
    reference: float | None,
    study: "Study",
) -> None:
    """Replaces sweep.png, from the rows of sweep.csv and separate models' performance, if known."""
    figure = new_figure(8.5, width=12)
    axes, floor = figure.subplots(2, 2), floor_of(rows)
    draw_split(axes[0][0], split_data(rows), reference, floor)
    draw_cost(axes[0][1], cost_data(rows), reference, floor)
    for one in axes[0]:
        one.set_ylabel(" on ".join(["performance", *split_of(rows)]))
    flagged = {row["trial"] for row in rows if state_of(row) == AT_FLOOR}
    draw_history(axes[1][0], history_data(rows, objectives), objectives[0], flagged)
    draw_importance(axes[1][1], importance_data(study))
    figure.suptitle(title_of(study.study_name, rows))
    replace_file(folder / PICTURE, lambda path: figure.savefig(path, dpi=110, format="png"))


def title_of(name: str, rows: Sequence[Row]) -> str:
    """The sweep's name, its numbers of trained and of duplicate trials, and how they were timed."""
    clock, equal = clock_of_rows(rows), sum(row["same_as"] is not None for row in rows)
    duplicates = f", {equal} more drawn equal to them" if equal else ""
    timed = f"\n{clock}" if clock.machines else ""
    return f"{name}: {len(rows) - equal} trials{duplicates}{timed}"


def floor_of(rows: Sequence[Row]) -> float | None:
    """A constant answer's performance; None where no trial has it."""
    floors = (row.get("floor_performance") for row in rows)
    return next((floor for floor in floors if floor is not None), None)


def split_of(rows: Sequence[Row]) -> list[str]:
    """The name of the split that selects; empty for a sweep of before."""
    return [str(row["selected_on"]) for row in rows if row.get("selected_on")][:1]


def state_of(row: Row) -> str:
    """The state of a trial, or that a task of a complete one is no better than a constant."""
    complete = row["state"] == "COMPLETE"
    return AT_FLOOR if complete and row.get("at_floor") else str(row["state"])


def split_data(rows: Sequence[Row]) -> list[tuple[int, float, str]]:
    """(layers shared by all tasks, performance or else last report, state) of each trial."""
    data = []
    for row in rows:
        value = row.get("performance")
        value = row.get("last_report") if value is None else value
        if row["regime"] and value is not None:
            data.append((shared_layers(row["regime"]), value, state_of(row)))
    return data


def shared_layers(regime: str) -> int:
    """The number of encoder layers of a regime, as in ``F2-S4-I6/S-I + pals 16``, have one copy."""
    plan = regime.split()[0].partition("/")[0]
    return sum(int(depth) for depth in re.findall(r"(?:^|-)[FS](\d+)", plan))


def cost_data(rows: Sequence[Row]) -> list[tuple[float, float, str, str]]:
    """(parameters in M, performance, regime, colour) of each complete trial.

    :data:`FRONT` colours the Pareto front. A regime with a task at or below a constant answer has
    the colour of its state and is on no front.
    """
    trials = [
        (row["parameters"] / 1e6, row["performance"], row["regime"], state_of(row))
        for row in rows
        if row["state"] == "COMPLETE" and row["same_as"] is None
    ]
    # By size, then the best first: of equal sizes one alone is on the front.
    trials.sort(key=lambda trial: (trial[0], -trial[1]))
    points, best = [], float("-inf")
    for parameters, performance, regime, state in trials:
        colour = _STATES[AT_FLOOR][0] if state == AT_FLOOR else BEHIND
        if state != AT_FLOOR and performance > best:
            colour, best = FRONT, performance
        points.append((parameters, performance, regime, colour))
    return points


def history_data(rows: Sequence[Row], objectives: Sequence[str]) -> list[tuple[int, float, float]]:
    """(trial, first objective, best so far) of each complete trial."""
    better = max if DIRECTIONS[objectives[0]] == UP else min
    history: list[tuple[int, float, float]] = []
    for row in rows:
        value = row[f"objective/{objectives[0]}"]
        if value is not None:
            best = better(value, history[-1][2]) if history else value
            history.append((row["trial"], value, best))
    return history


def importance_data(study: "Study") -> dict[str, float]:
    """The importance of each parameter for the first objective; empty with too few trials."""
    # Here, not above: a report reads histories of sweeps without a study.
    import optuna
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.values[0] for trial in complete}) < 2:
        return {}  # of equal values Optuna calls all parameters equally important
    target = None if len(study.directions) == 1 else (lambda trial: trial.values[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return optuna.importance.get_param_importances(study, target=target)
        except (ValueError, RuntimeError):
            return {}


def draw_split(
    axes: "Axes",
    data: Sequence[tuple[int, float, str]],
    reference: float | None,
    floor: float | None = None,
) -> None:
    """Draws every trial's performance over the number of layers that all tasks share."""
    axes.set(title="performance against shared layers",
             xlabel="encoder layers with one copy for all tasks")  # fmt: skip
    for state, (colour, label) in _STATES.items():
        points = [point[:2] for point in data if point[2] == state]
        if points:
            splits, values = zip(*points, strict=True)
            axes.scatter(splits, values, c=colour, label=label, alpha=0.8)
    if data:
        axes.legend(loc="lower left")
    else:
        _write(axes, "no trial has been evaluated")
    _draw_references(axes, reference, floor)


def draw_cost(
    axes: "Axes",
    data: Sequence[tuple[float, float, str, str]],
    reference: float | None,
    floor: float | None = None,
) -> None:
    """Draws performance over parameters, with labels on the Pareto front."""
    axes.set(title="performance against size", xlabel="million parameters")
    for parameters, value, regime, colour in data:
        axes.scatter([parameters], [value], c=colour, zorder=2)
        if colour == FRONT:
            axes.annotate(regime, (parameters, value), textcoords="offset points",
                          xytext=(5, -11), fontsize=8)  # fmt: skip
    line = [point[:2] for point in data if point[3] == FRONT]
    if line:
        axes.step(*zip(*line, strict=True), where="post", c="tab:blue", alpha=0.5)
    _draw_references(axes, reference, floor)


def _draw_references(axes: "Axes", reference: float | None, floor: float | None) -> None:
    low, high = axes.get_ylim()
    if floor is not None and floor < low - (high - low) / 4:
        # A line so far below would leave no room for the trials.
        axes.text(0.99, 0.01, f"floor (a constant answer): {floor:.3f}", ha="right", va="bottom",
                  fontsize=8, color="gray", transform=axes.transAxes)  # fmt: skip
        floor = None
    for label, value in (("separate models", reference), ("floor (a constant answer)", floor)):
        if value is not None:
            axes.axhline(value, c="gray", ls="--", lw=1)
            axes.annotate(label, (0.99, value), xycoords=("axes fraction", "data"),
                          ha="right", va="bottom", fontsize=8, color="gray")  # fmt: skip


def draw_history(
    axes: "Axes",
    data: Sequence[tuple[int, float, float]],
    objective: str,
    flagged: Collection[int] = (),
) -> None:
    """Draws the objective of each trial and the best so far; flagged trials have their colour."""
    axes.set(title="history", xlabel="trial", ylabel=objective)
    if data:
        trials, values, best = zip(*data, strict=True)
        states = ["COMPLETE" if trial not in flagged else AT_FLOOR for trial in trials]
        axes.scatter(trials, values, c=[_STATES[state][0] for state in states])
        axes.step(trials, best, where="post", c="tab:green", label="best so far")
        axes.legend(loc="upper left")


def draw_importance(axes: "Axes", data: dict[str, float]) -> None:
    """Draws a bar for each parameter, the most important on top."""
    axes.set(title="importance of parameters", xlabel="share of the objective's variance")
    if data:
        names = list(reversed(data))
        axes.barh(names, [data[name] for name in names], color="tab:blue")
    else:
        _write(axes, "too few complete trials")


def _write(axes: "Axes", text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color="gray")
