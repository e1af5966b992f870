"""The weighted score, and a trial's metrics as the objectives that a study optimises."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mtl_sharing.errors import UserError, check_above, check_range, one_of
from mtl_sharing.score.performance import kept
from mtl_sharing.score.settings import ScoreConfig

UP, DOWN = "maximize", "minimize"
DIRECTIONS = {"weighted": UP, "keep": UP, "performance": UP, "memory": DOWN, "time": DOWN}
_MEASURED = ("performance", "memory", "time")
Metrics = dict[str, Any]
_CHOICES = {
    "memory": ("model", "peak_train"),
    "time": ("train", "predict"),
    "clock": ("measured", "flops"),
    "pearson": ("unit", "raw"),
    "objective": ("weighted", "keep", "performance"),
}


@dataclass(frozen=True)
class Multipliers:
    """Cost of the baseline (nothing shared) divided by the regime's cost; above 1 is a saving."""

    memory: float
    time: float


def check_score(config: ScoreConfig) -> None:
    """Raises UserError for a setting outside its choices or range."""
    for name, choices in _CHOICES.items():
        if getattr(config, name) not in choices:
            raise UserError(f"score.{name}", getattr(config, name), one_of(choices))
    if config.clock == "flops" and config.memory == "peak_train":
        allowed = "model, or score.clock=measured: a peak can only be measured"
        raise UserError("score.memory", "peak_train with score.clock=flops", allowed)
    check_above("score.keep", config.keep, 0)
    check_range("score.keep", config.keep, 0, 1)
    check_range("score.pairs", config.pairs, 0)
    for name in ("memory_exponent", "time_exponent"):
        check_range(f"score.{name}", getattr(config, name), 0)


def saved_cost(multipliers: Multipliers, memory_exponent: float, time_exponent: float) -> float:
    """``(memory ratio)^a x (time ratio)^b``."""
    return float(multipliers.memory**memory_exponent * multipliers.time**time_exponent)


def weighted_score(
    performance: float, multipliers: Multipliers, memory_exponent: float, time_exponent: float
) -> float:
    """``performance x (memory ratio)^a x (time ratio)^b``.

    The mops report's TM-relative performance, with a = b = 1 there. Its rows give, for example,
    0.500 x 1352/1324 x 6382.58/5656.93 = 0.576.
    """
    return performance * saved_cost(multipliers, memory_exponent, time_exponent)


def keep_objective(share: float | None, keep: float, saved: float, at_floor: int = 0) -> float:
    """The saved cost of a regime that keeps enough performance; otherwise its shortfall.

    ``share`` and ``keep`` are shares of separate models' performance; where theirs is not above 0,
    ``share`` is None and counts as 0. The shortfall is negative, so such a regime ranks below every
    one that keeps enough. A regime with tasks no better than a constant answer (``at_floor`` of
    them) keeps nothing there: each lowers it by another 1.
    """
    shortfall = (share or 0.0) - keep
    if at_floor:
        return min(shortfall, 0.0) - at_floor
    return saved if shortfall >= 0 else shortfall


def check_objectives(names: Sequence[str], score: ScoreConfig) -> None:
    """Raises UserError for an unknown objective, or one that the score settings do not measure."""
    for name in names:
        if name not in DIRECTIONS:
            raise UserError("hydra.sweeper.objectives", name, one_of(DIRECTIONS))
    if len(set(names)) < len(names) or not names:
        raise UserError("hydra.sweeper.objectives", list(names), "each objective once")
    costs = set(names) - {"performance"}
    if costs and score.clock == "measured" and not score.pairs:
        found = f"{score.pairs} with {one_of(sorted(costs))}"
        raise UserError("score.pairs", found, "1 or more, or score.clock=flops")


def missing_metrics(names: Sequence[str], metrics: Metrics) -> list[str]:
    """The metrics that these objectives need and that were not measured."""
    needed = [(name,) if name in _MEASURED else ("memory", "time") for name in names]
    return [m for m in dict.fromkeys(m for some in needed for m in some) if metrics[m] is None]


def objective_values(
    names: Sequence[str], metrics: Metrics, score: ScoreConfig, reference: float | None
) -> list[float]:
    """The objective values of a complete trial; only ``keep`` needs the reference's performance."""
    return [_value(name, metrics, score, reference) for name in names]


def _value(name: str, metrics: Metrics, score: ScoreConfig, reference: float | None) -> float:
    if name in _MEASURED:
        return float(metrics[name])
    saved = Multipliers(1 / metrics["memory"], 1 / metrics["time"])
    exponents = score.memory_exponent, score.time_exponent
    if name == "weighted":
        return weighted_score(metrics["performance"], saved, *exponents)
    assert reference is not None  # the sweep waits for it
    share = kept(metrics["performance"], reference)
    at_floor = len((metrics.get("at_floor") or "").split())
    return keep_objective(share, score.keep, saved_cost(saved, *exponents), at_floor)
