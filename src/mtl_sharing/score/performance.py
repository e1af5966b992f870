"""Performance over tasks, a constant answer's performance, and what is kept above it."""

from collections.abc import Iterable, Mapping
from typing import Any

CORRELATIONS = ("pearson", "spearman")
TaskMetrics = Mapping[str, Mapping[str, Any]]
"""Metrics by task, as in result.json."""
# Equal answers whose metrics were summed in another order differ by rounding alone.
_ROUNDING = 1e-9
FLOOR_FLAG = "at or below a constant answer"
UNTRAINED_FLAG = "untrained (loss weight 0)"


def unit(metric: str, value: float) -> float:
    """A metric on the scale from 0 to 1: correlations as ``(r + 1) / 2``, others as they are."""
    return (value + 1) / 2 if metric in CORRELATIONS else value


def scale(metric: str, pearson: str = "unit") -> float:
    """The weight of a metric's step of 1 in a performance: half where r counts as (r + 1) / 2."""
    return unit(metric, 1.0) - unit(metric, 0.0) if pearson == "unit" else 1.0


def performance_of(result: Mapping[str, Any], pearson: str) -> float:
    """The performance in a result, or in a part of one, counted as ``score.pearson`` says."""
    return float(result["performance" if pearson == "unit" else "performance_raw_r"])


def floor_performance(tasks: TaskMetrics, pearson: str) -> float | None:
    """The mean over tasks of what a constant answer reaches, counted like the performance.

    None where an old result has no floor of a task.
    """
    floors = [(task.get("metric", ""), task.get("floor")) for task in tasks.values()]
    if not floors or any(floor is None for _, floor in floors):
        return None
    counted = [unit(m, float(f or 0)) if pearson == "unit" else float(f or 0) for m, f in floors]
    return sum(counted) / len(counted)


def kept(performance: float, reference: float | None) -> float | None:
    """The share of separate models' performance, which is ``reference``, that a regime keeps.

    None where the reference is unknown, and where it is not above 0.
    """
    return None if reference is None or reference <= 0 else performance / reference


def kept_above_floor(
    performance: float, reference: float | None, floor: float | None
) -> float | None:
    """``(performance - floor) / (reference - floor)``: 0 for a constant answer, 1 for all.

    None where a part is unknown, and where the reference is not above the floor.
    """
    if reference is None or floor is None or reference - floor <= _ROUNDING:
        return None
    return (performance - floor) / (reference - floor)


def is_at_floor(value: float, floor: float | None) -> bool:
    """Whether a metric is no better than a constant answer's; False where that is unknown."""
    return floor is not None and value <= floor + _ROUNDING


def tasks_at_floor(tasks: TaskMetrics) -> list[str]:
    """The tasks whose metric is at or below what a constant answer reaches."""
    return [n for n, task in tasks.items() if is_at_floor(task["value"], task.get("floor"))]


def flags(at_floor: Iterable[str], untrained: Iterable[str]) -> str:
    """The warnings that belong to a score, such as ``sts at or below a constant answer``."""
    named = {FLOOR_FLAG: at_floor, UNTRAINED_FLAG: untrained}
    parts = [(", ".join(tasks), text) for text, tasks in named.items()]
    return "; ".join(f"{tasks} {text}" for tasks, text in parts if tasks)
