"""The weighted performance score, and the objective that stands beside it."""

from dataclasses import dataclass
from pathlib import Path

from mtl_sharing.errors import UserError, one_of
from mtl_sharing.score.settings import ScoreConfig

_CHOICES = {
    "memory": ("model", "peak_train"),
    "time": ("train", "predict"),
    "clock": ("measured",),
    "pearson": ("unit", "raw"),
    "objective": ("weighted", "keep", "performance"),
}


@dataclass(frozen=True)
class Multipliers:
    """What the baseline (nothing shared) costs over what the regime costs; above 1 is saved."""

    memory: float
    time: float


def check_score(config: ScoreConfig) -> None:
    """Raises UserError for a setting outside its choices."""
    for name, choices in _CHOICES.items():
        if getattr(config, name) not in choices:
            raise UserError(f"score.{name}", getattr(config, name), one_of(choices))
    if not 0 < config.keep <= 1:
        raise UserError("score.keep", config.keep, "above 0, at most 1")
    if config.pairs < 0:
        raise UserError("score.pairs", config.pairs, "0 or more")


def weighted_score(
    performance: float, multipliers: Multipliers, memory_exponent: float, time_exponent: float
) -> float:
    """``performance x (memory ratio)^a x (time ratio)^b``.

    The mops report's TM-relative performance, with a = b = 1 there. Its rows give, for example,
    0.500 x 1352/1324 x 6382.58/5656.93 = 0.576.
    """
    saved = multipliers.memory**memory_exponent * multipliers.time**time_exponent
    return performance * saved


def keep_objective(kept: float, keep: float, multipliers: Multipliers) -> float:
    """Higher for the cheaper of two regimes that keep enough performance.

    A regime that keeps less than ``keep`` of it gets what it lacks, a negative number, and so
    stands behind every one that keeps enough.
    """
    return multipliers.memory * multipliers.time if kept >= keep else kept - keep


def reference_performance(reference: str | None) -> float | None:
    """Performance of fully trained separate models: a number, or the folder of their run.

    Raises:
        UserError: neither a number nor a folder with the result of a finished run of separate
            models.
    """
    if reference is None:
        return None
    try:
        return float(reference)
    except ValueError:
        return _performance_of(Path(reference) / "result.json")


def _performance_of(path: Path) -> float:
    import json

    allowed = "a number, or the folder of a finished run with nothing shared (sharing=individual)"
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        done = result["status"] == "finished" and set(result["plan"]) <= set("I0123456789")
        value = float(result["performance"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError("score.reference", path.parent, allowed) from None
    if not done:
        found = f"{path.parent} ({result['plan']}, {result['status']})"
        raise UserError("score.reference", found, allowed)
    return value
