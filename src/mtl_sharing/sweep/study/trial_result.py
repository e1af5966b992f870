"""Results of trials, as their folders hold them: state, metrics, reason."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from optuna.trial import TrialState

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import Status
from mtl_sharing.run_folder.results import Result, read_result
from mtl_sharing.score.objectives import Metrics
from mtl_sharing.score.reference import performance_of
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
        metrics: of a complete trial, by the names of sweep.csv.
        reason: why it failed or was pruned.
    """

    state: TrialState
    metrics: Metrics
    reason: str | None = None


def read_trial_result(folders: Sequence[Path], score: ScoreConfig) -> TrialResult | None:
    """The result of a trial over its runs (one for each seed); None while it has not ended."""
    results = [_read(folder) for folder in folders]
    for result in results:
        if result is None or result["status"] not in _STATES:
            return None
        state = _STATES[result["status"]]
        if state != TrialState.COMPLETE:
            reason = result.get("reason") or result.get("pruned", {}).get("reason")
            train_s = (result.get("time") or {}).get("train_s")
            return TrialResult(state, {"train_s": train_s}, reason)
    runs = [_metrics(result, score) for result in results if result is not None]
    metrics: Metrics = {name: _mean([run[name] for run in runs]) for name in runs[0]}
    if not math.isfinite(metrics["performance"]):
        return TrialResult(TrialState.FAIL, {}, f"its performance is {metrics['performance']}")
    return TrialResult(TrialState.COMPLETE, metrics)


def _read(folder: Path) -> Result | None:
    try:
        return read_result(folder)
    except (OSError, UserError):
        return None


def _metrics(result: Mapping[str, Any], score: ScoreConfig) -> Metrics:
    """The metrics of a finished run; ``performance`` is on the held-out part, if there is one."""
    selection = result.get("selection") or result
    saved = result.get("multipliers") or {}
    metrics: Metrics = {"performance": performance_of(selection, score.pearson)}
    metrics |= {"dev_performance": performance_of(result, score.pearson)}
    metrics |= {f"dev_{name}": task["value"] for name, task in result["tasks"].items()}
    metrics |= {"parameters": result["params"]["total"]}
    for cost in ("memory", "time"):
        ratio = saved.get(cost)
        metrics[cost] = None if ratio is None else 1 / ratio
    return metrics | {"score": result.get("score"), "train_s": result["time"]["train_s"]}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
