"""What a trial's folder says: how it ended, its figures, and its values as objectives."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from optuna.trial import TrialState

from mtl_sharing.run_folder.layout import RESULT, Status
from mtl_sharing.score.objectives import Figures
from mtl_sharing.score.settings import ScoreConfig

_STATES = {
    Status.FINISHED: TrialState.COMPLETE,
    Status.PRUNED: TrialState.PRUNED,
    Status.FAILED: TrialState.FAIL,
}


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended.

    Attributes:
        figures: of a complete trial, by the names of sweep.csv.
        reason: why it failed or was pruned.
    """

    state: TrialState
    figures: Figures
    reason: str | None = None


def read_trial_result(folders: Sequence[Path], score: ScoreConfig) -> TrialResult | None:
    """The verdict of a trial over its runs (one for each seed); None while it is not over."""
    results = [_result(folder) for folder in folders]
    for result in results:
        if result is None:
            return None
        state = _STATES.get(result["status"])
        if state is None:
            return None
        if state != TrialState.COMPLETE:
            reason = result.get("reason") or result.get("pruned", {}).get("reason")
            return TrialResult(state, {"train_s": _seconds(result)}, reason)
    found = [_figures(result, score) for result in results if result is not None]
    figures: Figures = {name: _mean([each[name] for each in found]) for name in found[0]}
    if not math.isfinite(figures["performance"]):
        return TrialResult(TrialState.FAIL, {}, f"its performance is {figures['performance']}")
    return TrialResult(TrialState.COMPLETE, figures)


def _result(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _seconds(result: Mapping[str, Any]) -> float | None:
    return (result.get("time") or {}).get("train_s")


def _figures(result: Mapping[str, Any], score: ScoreConfig) -> Figures:
    """Of one finished run; what selects is the held-out part of train, where there is one."""
    name = "performance" if score.pearson == "unit" else "performance_raw_r"
    selection = result.get("selection") or result
    saved = result.get("multipliers") or {"memory": None, "time": None}
    figures: Figures = {"performance": selection[name], "dev_performance": result[name]}
    figures |= {f"dev_{task}": found["value"] for task, found in result["tasks"].items()}
    figures |= {"parameters": result["params"]["total"]}
    figures |= {"memory": _inverse(saved["memory"]), "time": _inverse(saved["time"])}
    return figures | {"score": result.get("score"), "train_s": result["time"]["train_s"]}


def _inverse(ratio: float | None) -> float | None:
    return None if ratio is None else 1 / ratio


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return fmean(found) if found else None
