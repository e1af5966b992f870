"""Describes what a score by the clock depends on: the machine, and the spread of timed pairs."""

from collections.abc import Mapping
from typing import Any

from mtl_sharing.score.reference import is_separate_result
from mtl_sharing.utils.nested import get

Result = Mapping[str, Any]


def is_timed(result: Result) -> bool:
    """Whether a result's score and ratios were measured, so that they move with the machine.

    The score of separate models is their performance: they are held against themselves.
    """
    if get(result, "score") is None or get(result, "scored_by.clock") != "measured":
        return False
    return not is_separate_result(str(result.get("plan", "?")), result.get("parts") or {})


def machine_text(machine: Any) -> str:
    """The kind of machine, such as ``Intel Xeon, 2 threads, bf16``; empty if unknown."""
    device, threads, precision = (get(machine, n) for n in ("device", "threads", "precision"))
    count = None if threads is None else f"{threads} thread{'' if threads == 1 else 's'}"
    return ", ".join(str(part) for part in (device, count, precision) if part is not None)


def pair_range(result: Result) -> tuple[float, float] | None:
    """The lowest and highest ratio of the pairs that a score's time was measured by."""
    time = get(result, "scored_by.time") or "train"
    ends = get(result, f"baseline.{time}_ratio_range")
    return (float(ends[0]), float(ends[1])) if isinstance(ends, list) and len(ends) == 2 else None


def range_text(ends: tuple[float, float] | None) -> str:
    """A range of ratios, such as ``1.02 to 1.13``; ``-`` if unknown."""
    return "-" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"
