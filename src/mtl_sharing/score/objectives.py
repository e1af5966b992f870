"""A trial's metrics as the objectives that a study optimises."""

from collections.abc import Sequence
from typing import Any

from mtl_sharing.errors import UserError, one_of
from mtl_sharing.score.score import Multipliers, keep_objective, saved_cost, weighted_score
from mtl_sharing.score.settings import ScoreConfig

UP, DOWN = "maximize", "minimize"
DIRECTIONS = {"weighted": UP, "keep": UP, "performance": UP, "memory": DOWN, "time": DOWN}
Figures = dict[str, Any]


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
