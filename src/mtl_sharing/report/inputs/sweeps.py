"""The course of a sweep, read off its sweep.csv: objectives trial after trial, and their states."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_sharing.report.inputs.runs import Omission, Run

_OBJECTIVE = "objective/"


@dataclass(frozen=True)
class SweepHistory:
    """What a sweep did.

    Attributes:
        objective: what it looked for first.
        counts: trials by state, as in ``complete``; those equal to an earlier one stand apart.
        trials: number and objective of each complete trial.
        best: number and best objective so far.
        pruned: reasons and how many trials they ended, the most frequent first.
    """

    name: str
    objective: str
    counts: dict[str, int]
    trials: tuple[tuple[int, float], ...]
    best: tuple[tuple[int, float], ...]
    pruned: dict[str, int]


def sweep_folders(runs: Iterable[Run]) -> dict[str, Path]:
    """The folder of each sweep that has a sweep.csv, by the sweep's name."""
    found: dict[str, Path] = {}
    for run in runs:
        above = (run.folder.parent, run.folder.parent.parent)
        folder = next((f for f in above if run.sweep and (f / "sweep.csv").is_file()), None)
        if run.sweep is not None and folder is not None:
            found.setdefault(run.sweep, folder)
    return found


def read_sweep_histories(runs: Iterable[Run]) -> tuple[list[SweepHistory], list[Omission]]:
    """The course of every sweep that the runs are trials of, and those that cannot be read."""
    courses, left_out = [], []
    for name, folder in sweep_folders(runs).items():
        try:
            courses.append(_course(name, folder / "sweep.csv"))
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            left_out.append(Omission(f"history of {name}", f"sweep.csv: {reason}"))
    return courses, left_out


def _course(name: str, path: Path) -> SweepHistory:
    """Raises ValueError or KeyError where the file is not what a sweep leaves."""
    import pandas as pd

    from mtl_sharing.plotting.sweep import history_data

    frame = pd.read_csv(path)
    objectives = [str(c).removeprefix(_OBJECTIVE) for c in frame if str(c).startswith(_OBJECTIVE)]
    if not objectives:
        raise ValueError("no column of an objective")
    rows: Any = frame.astype(object).where(frame.notna(), None).to_dict("records")
    history = history_data(rows, objectives)
    return SweepHistory(
        name, objectives[0], _counts(rows),
        tuple((int(trial), value) for trial, value, _ in history),
        tuple((int(trial), best) for trial, _, best in history),
        _tally(str(row["reason"]) for row in rows if row["state"] == "PRUNED" and row["reason"]),
    )  # fmt: skip


def _counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Trials by state in small letters."""
    equal = "equal to an earlier one"
    return _tally(
        equal if row["same_as"] is not None else str(row["state"]).lower().replace("fail", "failed")
        for row in rows
    )


def _tally(words: Iterable[str]) -> dict[str, int]:
    """How often each occurs, the most frequent first."""
    from collections import Counter

    return dict(Counter(words).most_common())
