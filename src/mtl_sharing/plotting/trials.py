"""The trials as a sweep's figure shows them, from the rows of sweep.csv."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mtl_sharing.score.objectives import DIRECTIONS, UP

if TYPE_CHECKING:
    from optuna import Study

AT_FLOOR = "AT_FLOOR"
"""The state of a complete trial with a task at or below a constant answer."""
_SPLIT = re.compile(r"S\d{1,3}(-I\d{1,3})?|I\d{1,3}")
# Fewer trials cannot tell the importance of parameters.
_FEWEST_TRIALS = 10
Row = dict[str, Any]


@dataclass(frozen=True)
class TrialPoint:
    """A trial in the panel of performance.

    Attributes:
        x: layers that all tasks share, or million parameters.
        front: whether no complete trial with as few parameters is better; never of one with a
            task at or below a constant answer.
    """

    x: float
    performance: float
    state: str
    regime: str
    front: bool = False


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


def is_plain_split(regime: str) -> bool:
    """Whether the number of shared layers says all of a regime."""
    return _SPLIT.fullmatch(regime) is not None


def is_by_split(rows: Sequence[Row]) -> bool:
    """Whether the regimes of all trials differ in their split alone, and in some."""
    regimes = {str(row["regime"]) for row in rows if row["regime"]}
    return len(regimes) > 1 and all(map(is_plain_split, regimes))


def shared_layers(regime: str) -> int:
    """The number of encoder layers of a regime, as in ``F2-S4-I6/S-I + pals 16``, have one copy."""
    plan = regime.split()[0].partition("/")[0]
    return sum(int(depth) for depth in re.findall(r"(?:^|-)[FS](\d+)", plan))


def trial_points(rows: Sequence[Row]) -> list[TrialPoint]:
    """Each trial with a performance, a pruned one at its last report; duplicates count once.

    x is the number of shared layers if regimes differ in their split alone, else the parameters,
    which pruned trials lack.
    """
    by_split, front, points = is_by_split(rows), _front_trials(rows), []
    for row in rows:
        value, size = row.get("performance"), row.get("parameters")
        value = row.get("last_report") if value is None else value
        if row["regime"] and value is not None and row["same_as"] is None and (by_split or size):
            x = shared_layers(row["regime"]) if by_split else (size or 0) / 1e6
            own = row["trial"] in front
            points.append(TrialPoint(x, value, state_of(row), row["regime"], own))
    return points


def _front_trials(rows: Sequence[Row]) -> set[int]:
    trials = [row for row in rows if state_of(row) == "COMPLETE" and row["same_as"] is None]
    front, best = set(), float("-inf")
    # By size, then the best first: of equal sizes one alone is on the front.
    for row in sorted(trials, key=lambda row: (row["parameters"], -row["performance"])):
        if row["performance"] > best:
            best = row["performance"]
            front.add(row["trial"])
    return front


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
    """The importance of two parameters or more for the first objective; empty of few trials."""
    # Here, not above: a report reads histories of sweeps without a study.
    import optuna
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < _FEWEST_TRIALS or len({trial.values[0] for trial in complete}) < 2:
        return {}  # of equal values Optuna calls all parameters equally important
    target = None if len(study.directions) == 1 else (lambda trial: trial.values[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importance = optuna.importance.get_param_importances(study, target=target)
        except (ValueError, RuntimeError):
            return {}
    return importance if len(importance) > 1 else {}


def lowest_shown(values: Sequence[float], objective: str) -> float:
    """Where the axis of an objective ends: ``keep`` marks tasks at their floor with whole numbers.

    These would leave no room for the others, so they stand below the lowest of them.
    """
    shown = [value for value in values if objective != "keep" or value > -1]
    if not shown or len(shown) == len(values):
        return min(values)
    return min(shown) - 0.15 * ((max(shown) - min(shown)) or 1.0)
