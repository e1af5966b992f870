"""Metrics of the variants and ratios between them, from the measured rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.workloads import Workload

Result = dict[str, Any]


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and their range."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of one value for each round."""
        return cls(median(values), min(values), max(values))


def summarise(workload: Workload, measured: Mapping[str, Any], kind: str) -> Result:
    """The ``metrics`` of each variant and the ``ratios`` between them.

    Speed is counted in real tokens a second. Lengths differ from batch to batch, but over an epoch
    every loop has the same examples, so a ratio of token rates is one of example rates.

    Args:
        measured: result of :func:`benchmarks.runner.run_workload`, with rounds as dicts.
        kind: the kind of machine, which some targets depend on.
    """
    variants = measured["variants"]
    metrics = {name: _metrics(one, measured["product_rate"]) for name, one in variants.items()}
    targets = {(t.metric, t.of, t.over): t.on(kind) for t in workload.targets}
    ratios = []
    for of, over in workload.pairs():
        speeds = zip(_token_rates(variants[of]), _token_rates(variants[over]), strict=True)
        speed = Spread.of([own / other for own, other in speeds])
        ratios.append(_ratio("speed", of, over, speed, targets))
        first = _token_rate(variants[of]["first"]) / _token_rate(variants[over]["first"])
        ratios.append(_ratio("first_speed", of, over, Spread.of([first]), targets))
        peak = variants[of]["peak_bytes"] / variants[over]["peak_bytes"]
        ratios.append(_ratio("memory", of, over, Spread.of([peak]), targets))
    for metric, of, over in targets:
        if metric == "share":
            shares = _shares(variants[of], measured["product_rate"])
            ratios.append(_ratio("share", of, over, Spread.of(shares), targets))
    return {"metrics": metrics, "ratios": ratios}


def _metrics(variant: Mapping[str, Any], rates: Sequence[Mapping[str, float]]) -> Result:
    rounds = variant["rounds"]
    examples = [_sum(one, "examples") / sum(one["seconds"]) for one in rounds]
    return {
        "how": variant["how"],
        "step_s": median(second for one in rounds for second in one["seconds"]),
        "examples_per_s": median(examples),
        "tokens_per_s": median(_token_rates(variant)),
        "first_steps": len(variant["first"]["seconds"]),
        "first_s": sum(variant["first"]["seconds"]),
        "first_tokens_per_s": _token_rate(variant["first"]),
        "share_of_product_rate": median(_shares(variant, rates)),
        "peak_bytes": variant["peak_bytes"],
    }


def _shares(variant: Mapping[str, Any], rates: Sequence[Mapping[str, float]]) -> list[float]:
    """The share of the faster precision's product rate in each round."""
    return [
        _sum(one, "flops") / sum(one["seconds"]) / max(rate.values())
        for one, rate in zip(variant["rounds"], rates, strict=True)
    ]


def _token_rates(variant: Mapping[str, Any]) -> list[float]:
    return list(map(_token_rate, variant["rounds"]))


def _token_rate(round_: Mapping[str, Any]) -> float:
    return _sum(round_, "tokens") / sum(round_["seconds"])


def _sum(round_: Mapping[str, Any], name: str) -> int:
    return sum(work[name] for work in round_["work"])


def _ratio(metric: str, of: str, over: str, spread: Spread, targets: Mapping[Any, float]) -> Result:
    target = targets.get((metric, of, over))
    met = None
    if target is not None:
        reached = spread.median
        met = reached <= target if metric == "memory" else reached >= target
    return {
        "metric": metric,
        "of": of,
        "over": over,
        "median": spread.median,
        "low": spread.low,
        "high": spread.high,
        "target": target,
        "met": met,
    }
