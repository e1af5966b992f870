"""A sweep from its files: the objective and state of each trial, and a search's answer."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.errors import UserError, first_line
from mtl_sharing.report.inputs.runs import Omission, Run
from mtl_sharing.run_folder.decision import Decision
from mtl_sharing.run_folder.decision_file import read_decision
from mtl_sharing.run_folder.discovery import sweep_folder
from mtl_sharing.run_folder.layout import DECISION, SWEEP_TABLE
from mtl_sharing.run_folder.results import MOST_MEASURED
from mtl_sharing.utils.files import read_bytes

if TYPE_CHECKING:
    import pandas as pd

_OBJECTIVE = "objective/"


@dataclass(frozen=True)
class SweepHistory:
    """The trials of a sweep and its first objective.

    Attributes:
        counts: trials by state in small letters, such as ``complete``, the most frequent first;
            duplicates of an earlier trial count apart.
        trials: number, objective and best objective so far of each complete trial.
        flagged: number of complete trials with a task at or below a constant answer.
        pruned: number of trials by the reason of their pruning, the most frequent first.
        decision: the answer of a search; None for another sweep.
    """

    name: str
    objective: str
    counts: dict[str, int]
    trials: list[tuple[int, float, float]]
    pruned: dict[str, int]
    flagged: int = 0
    decision: Decision | None = None


def read_sweep_histories(runs: Iterable[Run]) -> tuple[list[SweepHistory], list[Omission]]:
    """Reads the history of every sweep that has a run here, and lists those that are damaged."""
    tables: dict[str, Path] = {}
    for run in runs:
        folder = sweep_folder(run.folder)
        if run.sweep is not None and folder is not None and os.path.lexists(folder / SWEEP_TABLE):
            tables.setdefault(run.sweep, folder / SWEEP_TABLE)
    histories, omissions = [], []
    for name, path in tables.items():
        try:
            histories.append(_read(name, path))
        except (OSError, UserError, ValueError, KeyError) as error:
            omissions.append((f"history of {name}", f"{SWEEP_TABLE}: {first_line(error)}"))
            continue
        try:
            histories[-1] = replace(histories[-1], decision=read_decision(path.parent))
        except (OSError, UserError) as error:
            omissions.append((f"answer of {name}", f"{DECISION}: {first_line(error)}"))
    return histories, omissions


def _read(name: str, path: Path) -> SweepHistory:
    """Raises ValueError or KeyError if the table is not one that a sweep writes."""
    import pandas as pd

    from mtl_sharing.plotting.trials import history_data

    table = pd.read_csv(BytesIO(read_bytes(path)))
    objectives = [str(c).removeprefix(_OBJECTIVE) for c in table if str(c).startswith(_OBJECTIVE)]
    if not objectives:
        raise ValueError("no column of an objective")
    for column in ("trial", *(_OBJECTIVE + objective for objective in objectives)):
        _check_numbers(column, table[column].dropna())
    rows: Any = table.astype(object).where(table.notna(), None).to_dict("records")
    reasons = [str(row["reason"]) for row in rows if row["state"] == "PRUNED" and row["reason"]]
    return SweepHistory(
        name, objectives[0], dict(Counter(map(_state, rows)).most_common()),
        history_data(rows, objectives), dict(Counter(reasons).most_common()),
        sum(bool(row.get("at_floor")) for row in rows if row["state"] == "COMPLETE"),
    )  # fmt: skip


def _check_numbers(column: str, values: "pd.Series[Any]") -> None:
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce").abs()
    if len(wrong := values[~(numbers < MOST_MEASURED)]):
        raise ValueError(f"{column} {wrong.iloc[0]}, where a number is expected")


def _state(row: dict[str, Any]) -> str:
    if row["same_as"] is not None:
        return "equal to an earlier one"
    return str(row["state"]).lower().replace("fail", "failed")
