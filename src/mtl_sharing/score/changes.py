"""By how much a run's figures differ from a baseline's, in percent."""

from collections.abc import Mapping
from typing import Any

FIGURES = ("precision", "recall", "f1")
"""Compared for every task, beside its main metric."""


def percent_change(value: float, base: float) -> float | None:
    """``100 (value - base) / |base|``; above 0 is better. None where the baseline has 0.

    By the absolute value, so that a correlation that rises from below 0 counts as a gain.
    """
    return None if base == 0 else 100 * (value - base) / abs(base)


def task_changes(
    tasks: Mapping[str, Mapping[str, Any]], baseline: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, float | None]]:
    """Each task's macro precision, recall and F1 and its main metric against the baseline's.

    Args:
        tasks, baseline: figures by task, as in result.json. A figure that the baseline lacks gives
            None.
    """
    return {
        task: {name: _change(found, baseline[task], name) for name in (*FIGURES, found["metric"])}
        for task, found in tasks.items()
    }


def _change(found: Mapping[str, Any], baseline: Mapping[str, Any], name: str) -> float | None:
    base = baseline.get(name)
    return None if base is None else percent_change(found[name], base)
