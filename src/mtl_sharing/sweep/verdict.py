"""What a trial's folder says: how it ended, its figures, and its values as objectives."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from optuna.trial import TrialState

from mtl_sharing.errors import UserError, one_of
from mtl_sharing.score.score import Multipliers, keep_objective, saved_cost, weighted_score
from mtl_sharing.score.settings import ScoreConfig

UP, DOWN = "maximize", "minimize"
DIRECTIONS = {"weighted": UP, "keep": UP, "performance": UP, "memory": DOWN, "time": DOWN}
_STATES = {
    "finished": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
Figures = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """How a trial ended.

    Attributes:
        figures: of a complete trial, by the names of sweep.csv.
        reason: why it failed or was pruned.
    """

    state: TrialState
    figures: Figures
    reason: str | None = None


def check_objectives(names: Sequence[str], score: ScoreConfig) -> None:
    """Raises UserError for an objective that is none, or that the score cannot give."""
    for name in names:
        if name not in DIRECTIONS:
            raise UserError("hydra.sweeper.objectives", name, one_of(DIRECTIONS))
    if len(set(names)) < len(names) or not names:
        raise UserError("hydra.sweeper.objectives", list(names), "each objective once")
    costs = set(names) - {"performance"}
    if costs and score.clock == "measured" and not score.pairs:
        found = f"{score.pairs} with {one_of(sorted(costs))}"
        raise UserError("score.pairs", found, "1 or more, or score.clock=flops")


def read_verdict(folders: Sequence[Path], score: ScoreConfig) -> Verdict | None:
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
            return Verdict(state, {"train_s": _seconds(result)}, reason)
    found = [_figures(result, score) for result in results if result is not None]
    figures: Figures = {name: _mean([each[name] for each in found]) for name in found[0]}
    if not math.isfinite(figures["performance"]):
        return Verdict(TrialState.FAIL, {}, f"its performance is {figures['performance']}")
    return Verdict(TrialState.COMPLETE, figures)


def _result(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
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


def missing_figures(names: Sequence[str], figures: Figures) -> list[str]:
    """What these objectives need and nobody could measure."""
    needed = {"performance": ("performance",), "memory": ("memory",), "time": ("time",)}
    wanted = [figure for name in names for figure in needed.get(name, ("memory", "time"))]
    return [figure for figure in dict.fromkeys(wanted) if figures[figure] is None]


def objective_values(
    names: Sequence[str], figures: Figures, score: ScoreConfig, reference: float | None
) -> list[float]:
    """A complete trial's values for the study.

    Args:
        reference: performance of separate models; needed for ``keep`` alone.
    """
    return [_value(name, figures, score, reference) for name in names]


def _value(name: str, figures: Figures, score: ScoreConfig, reference: float | None) -> float:
    if name in ("performance", "memory", "time"):
        return float(figures[name])
    saved = Multipliers(1 / figures["memory"], 1 / figures["time"])
    exponents = score.memory_exponent, score.time_exponent
    if name == "weighted":
        return weighted_score(figures["performance"], saved, *exponents)
    assert reference is not None  # the sweep waits for it
    kept = figures["performance"] / reference
    return keep_objective(kept, score.keep, saved_cost(saved, *exponents))
