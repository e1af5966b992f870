"""The weighted performance score and the ``keep`` objective."""

from dataclasses import dataclass

from mtl_sharing.errors import UserError, check_above, check_range, one_of
from mtl_sharing.score.settings import ScoreConfig

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


def keep_objective(kept: float, keep: float, saved: float) -> float:
    """The savings of a regime that keeps enough performance; otherwise its shortfall.

    The shortfall is negative, so such a regime ranks below every one that keeps enough.

    Args:
        kept: share of separate models' performance.
        keep: the share that is enough.
        saved: product of the score's two ratios.
    """
    return saved if kept >= keep else kept - keep
