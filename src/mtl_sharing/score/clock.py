"""Describes what a score by the clock depends on: the machine, and the spread of timed pairs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mtl_sharing.score.reference import is_separate_result
from mtl_sharing.utils.nested import get

Result = Mapping[str, Any]


def is_measured(result: Result) -> bool:
    """Whether a result's ratios of time were measured, so that they move with the machine.

    Separate models are held against themselves: their ratios are 1.
    """
    if get(result, "score") is None or get(result, "scored_by.clock") != "measured":
        return False
    return not is_separate_result(str(result.get("plan", "?")), result.get("parts") or {})


def is_timed(result: Result) -> bool:
    """Whether a result's score moves with the machine: it counts what was measured there.

    An exponent of 0 leaves a ratio out of the score. A ratio of model sizes is not measured.
    """
    if not is_measured(result):
        return False
    # Old results lack the exponents, which were 1 by default.
    by_time = get(result, "scored_by.time_exponent") != 0
    by_peak = get(result, "scored_by.memory") == "peak_train"
    return by_time or (by_peak and get(result, "scored_by.memory_exponent") != 0)


def moves_with_machine(result: Result, path: str) -> bool:
    """Whether a number of a result, by its dotted path, depends on the machine of its timings."""
    if path == "score":
        return is_timed(result)
    peak = get(result, "scored_by.memory") == "peak_train"
    measured = ("multipliers.time", "memory.peak_train_bytes", *["multipliers.memory"] * peak)
    return (path in measured or path.startswith("time.")) and is_measured(result)


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
    """A range of ratios, such as ``1.02 to 1.13``; ``-`` if unknown, one number for one pair."""
    if ends is None:
        return "-"
    return f"{ends[0]:.2f}" if ends[0] == ends[1] else f"{ends[0]:.2f} to {ends[1]:.2f}"


@dataclass(frozen=True)
class Clock:
    """How some scores or ratios were timed.

    Attributes:
        machines: the distinct machines; empty if nothing was timed.
        pairs: the lowest and highest ratio of all timed pairs; None if unknown.
    """

    machines: tuple[str, ...]
    pairs: tuple[float, float] | None

    def __str__(self) -> str:
        several = self.pairs is None or self.pairs[0] < self.pairs[1]
        pairs = "timed pairs" if several else "one timed pair"
        return f"measured on {self.where}; {pairs}: {range_text(self.pairs)} x"

    @property
    def where(self) -> str:
        """The machines in one text."""
        return _BETWEEN.join(self.machines)

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of sweep.csv."""
        low, high = self.pairs or (None, None)
        return {"machine": self.where or None, "pairs_low": low, "pairs_high": high}


_BETWEEN = "; "


def clock_of(results: Iterable[Result]) -> Clock:
    """How the ratios of those results that were measured were timed."""
    measured = [result for result in results if is_measured(result)]
    machines = [machine_text(r.get("machine")) or "an unknown machine" for r in measured]
    return _clock(machines, [ends for r in measured if (ends := pair_range(r)) is not None])


def clock_of_rows(rows: Iterable[Mapping[str, Any]]) -> Clock:
    """The same from rows of sweep.csv, that is from :attr:`Clock.columns`."""
    timed = [row for row in rows if row.get("machine")]
    machines = [name for row in timed for name in row["machine"].split(_BETWEEN)]
    ranges = [(row["pairs_low"], row["pairs_high"]) for row in timed]
    return _clock(machines, [ends for ends in ranges if None not in ends])


def _clock(machines: Iterable[str], ranges: Iterable[tuple[float, float]]) -> Clock:
    ends = sorted(end for some in ranges for end in some)
    return Clock(tuple(dict.fromkeys(machines)), (ends[0], ends[-1]) if ends else None)
