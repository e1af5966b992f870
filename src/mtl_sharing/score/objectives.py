"""A trial's metrics as the objectives that a study optimises."""

from collections.abc import Sequence
from typing import Any

from mtl_sharing.errors import UserError, one_of
from mtl_sharing.score.score import Multipliers, keep_objective, saved_cost, weighted_score
from mtl_sharing.score.settings import ScoreConfig

UP, DOWN = "maximize", "minimize"
DIRECTIONS = {"weighted": UP, "keep": UP, "performance": UP, "memory": DOWN, "time": DOWN}
_MEASURED = ("performance", "memory", "time")
Metrics = dict[str, Any]


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
    """The objective values of a complete trial.

    Args:
        reference: performance of separate models; only ``keep`` needs it.
    """
    return [_value(name, metrics, score, reference) for name in names]


def _value(name: str, metrics: Metrics, score: ScoreConfig, reference: float | None) -> float:
    if name in _MEASURED:
        return float(metrics[name])
    saved = Multipliers(1 / metrics["memory"], 1 / metrics["time"])
    exponents = score.memory_exponent, score.time_exponent
    if name == "weighted":
        return weighted_score(metrics["performance"], saved, *exponents)
    assert reference is not None  # the sweep waits for it
    kept = metrics["performance"] / reference
    return keep_objective(kept, score.keep, saved_cost(saved, *exponents))
