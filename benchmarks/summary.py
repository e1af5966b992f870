"""From what contestants told to the figures that are shown: rates, shares, ratios, targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.workloads import Target, Workload

Result = dict[str, Any]


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and their range."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of one value a round."""
        return cls(median(values), min(values), max(values))


def summarise(workload: Workload, told: Mapping[str, Any]) -> Result:
    """The ``figures`` of each contender and the ``ratios`` between them.

    Speed is counted in real tokens a second: lengths differ from batch to batch, and over an epoch
    every loop meets the same examples, so that a ratio of token rates is one of example rates.

    Args:
        told: what :func:`benchmarks.contest.run_workload` returned, turns as dicts.
    """
    contenders = told["contenders"]
    figures = {name: _figures(one, told["product_rate"]) for name, one in contenders.items()}
    targets = {(t.figure, t.of, t.over): t for t in workload.targets}
    ratios = []
    for of, over in workload.pairs():
        speeds = zip(_token_rates(contenders[of]), _token_rates(contenders[over]), strict=True)
        speed = Spread.of([own / other for own, other in speeds])
        ratios.append(_ratio("speed", of, over, speed, targets))
        peak = contenders[of]["peak_bytes"] / contenders[over]["peak_bytes"]
        ratios.append(_ratio("memory", of, over, Spread.of([peak]), targets))
    for figure, of, over in targets:
        if figure == "share":
            shares = _shares(contenders[of], told["product_rate"])
            ratios.append(_ratio("share", of, over, Spread.of(shares), targets))
    return {"figures": figures, "ratios": ratios}


def _figures(contender: Mapping[str, Any], rates: Sequence[Mapping[str, float]]) -> Result:
    rounds = contender["rounds"]
    examples = [_sum(turn, "examples") / sum(turn["seconds"]) for turn in rounds]
    return {
        "how": contender["how"],
        "step_s": median(second for turn in rounds for second in turn["seconds"]),
        "examples_per_s": median(examples),
        "tokens_per_s": median(_token_rates(contender)),
        "share_of_product_rate": median(_shares(contender, rates)),
        "peak_bytes": contender["peak_bytes"],
    }


def _shares(contender: Mapping[str, Any], rates: Sequence[Mapping[str, float]]) -> list[float]:
    """In each round, the share of the faster precision's product rate."""
    return [
        _sum(turn, "flops") / sum(turn["seconds"]) / max(rate.values())
        for turn, rate in zip(contender["rounds"], rates, strict=True)
    ]


def _token_rates(contender: Mapping[str, Any]) -> list[float]:
    return [_sum(turn, "tokens") / sum(turn["seconds"]) for turn in contender["rounds"]]


def _sum(turn: Mapping[str, Any], name: str) -> int:
    return sum(load[name] for load in turn["loads"])


def _ratio(
    figure: str, of: str, over: str, spread: Spread, targets: Mapping[Any, Target]
) -> Result:
    target = targets.get((figure, of, over))
    met = None
    if target is not None:
        reached = spread.median
        met = reached <= target.value if figure == "memory" else reached >= target.value
    return {
        "figure": figure,
        "of": of,
        "over": over,
        "median": spread.median,
        "low": spread.low,
        "high": spread.high,
        "target": None if target is None else target.value,
        "met": met,
    }
