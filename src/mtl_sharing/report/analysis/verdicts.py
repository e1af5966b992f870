"""Whether each group keeps enough of separate models' performance, as a table of few columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mtl_sharing.report.analysis.comparisons import PERFORMANCE, Comparison
from mtl_sharing.report.analysis.statistics import FEWEST, Summary
from mtl_sharing.report.analysis.tables import make_frame, spread
from mtl_sharing.report.analysis.values import (
    CONSTANT,
    baseline_parameters,
    floor_of,
    group_flags,
    kept,
    scaled,
    summary_of,
    values_of,
)
from mtl_sharing.report.inputs.groups import Group, baseline_of
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.utils.nested import get

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Verdict:
    """The verdict on a group: the share that it keeps, its cost, and whether that is enough.

    Attributes:
        kept: the share of separate models' performance, with a 95% interval over seeds and dev
            examples from the paired test, or over seeds alone where there is no test.
        seeds: number of seeds that the share rests on.
        keep: the share that is enough.
        enough: None where that is open, and of separate models.
        flags: why the performance is not to be compared; empty if it is.
        parameters, time: relative to separate models'; None where unknown.
    """

    group: Group
    baseline: Group | None
    kept: Summary
    seeds: int
    keep: float
    enough: bool | None
    flags: str
    parameters: float | None
    time: float | None

    @property
    def name(self) -> str:
        """The group's name in a sentence."""
        return " ".join(self.group.label.split())

    @property
    def text(self) -> str:
        """The verdict in a few words."""
        if self.group.separate:
            return "the reference"
        if self.flags:
            return "not chosen: flagged"
        if self.kept.mean is None:
            return "no separate models to compare with"
        if self.enough is None:
            few = f": {self.seeds} seed{'s' * (self.seeds != 1)}" if self.seeds < FEWEST else ""
            return f"not decided{few}"
        return f"keeps {'' if self.enough else 'less than '}{percent(self.keep, 4)}"


def make_verdicts(groups: Sequence[Group], comparisons: Sequence[Comparison]) -> list[Verdict]:
    """The verdict on each group, in the same order."""
    tests = {c.group: c for c in comparisons if c.against_baseline and c.quantity == PERFORMANCE}
    return [_verdict(g, baseline_of(g, groups), tests.get(g.label)) for g in groups]


def _verdict(group: Group, baseline: Group | None, test: Comparison | None) -> Verdict:
    share = kept(group, baseline)
    seeds = share.n
    if test is not None and test.difference is not None and baseline is not None:
        share, seeds = _with_test(share, test, baseline), len(test.seeds)
    keep, flags = _keep(group), group_flags(group)
    size, base = summary_of(group, "params.total").mean, baseline_parameters(group, baseline)
    saved = 1.0 if group is baseline else summary_of(group, "multipliers.time").mean
    return Verdict(
        group, baseline, share, seeds, keep, _enough(group, share, seeds, keep, flags), flags,
        size / base if size and base else None, 1 / saved if saved else None,
    )  # fmt: skip


def _with_test(share: Summary, test: Comparison, baseline: Group) -> Summary:
    """The share with the interval of the paired test, where both count r in the same way."""
    own = values_of(baseline, "performance")
    base = fmean(own[seed] for seed in test.seeds)
    raw = get(baseline.runs[0].result, "scored_by.pearson") == "raw"
    if raw or base <= 0 or share.mean is None or test.difference is None:
        return share
    low, high = (
        share.mean + (end - test.difference.mean) / base
        for end in (test.difference.low, test.difference.high)
    )
    return replace(share, low=low, high=high)


def _enough(group: Group, share: Summary, seeds: int, keep: float, flags: str) -> bool | None:
    if group.separate or share.mean is None:
        return None
    if flags:
        return False
    equal = share.deviation == 0  # over seeds, which then have no interval
    low, high = (share.mean if equal and end is None else end for end in (share.low, share.high))
    if seeds < FEWEST or low is None or high is None:
        return None
    return True if low >= keep else False if high < keep else None


def _keep(group: Group) -> float:
    """The share that the runs' score asks for."""
    asked = [get(run.result, "scored_by.keep") for run in group.runs]
    return max([float(k) for k in asked if isinstance(k, (int, float))], default=ScoreConfig.keep)


def verdict_table(
    verdicts: Sequence[Verdict], probabilities: Mapping[str, str], chosen: Group | None
) -> "pd.DataFrame":
    """One row for each verdict, in eight columns, and one for the best constant answer.

    Args:
        probabilities: the verdicts of a search, by label of a group.
    """
    rows: list[dict[str, Any]] = []
    for one in verdicts:
        label = one.group.label
        text = probabilities.get(label, one.text)
        is_open = label not in probabilities and one.enough is None and not one.group.separate
        mark = ("so far: " if is_open else "chosen: ") if one.group is chosen else ""
        rows.append(
            {"group": label, "seeds": len(one.group.seeds)}
            | _interval("performance", summary_of(one.group, "performance", True))
            | _interval("kept %", scaled(one.kept, 100))
            | {"parameters %": _percents(one.parameters), "time %": _percents(one.time),
               "verdict": f"{mark}{text}",
               "flagged": one.flags or None}
        )  # fmt: skip
    floors = {floor_of(one.group) for one in verdicts}
    if len(floors) == 1 and None not in floors:
        rows.append({"group": CONSTANT, "performance": floors.pop()})
    return make_frame(rows)


def _interval(name: str, summary: Summary) -> dict[str, Any]:
    """Columns of a mean and its interval, without the deviation."""
    columns = spread(name, summary, interval=True)
    return {column: value for column, value in columns.items() if column != f"{name} sd"}


def _percents(share: float | None) -> float | None:
    return None if share is None else 100 * share


def percent(share: float, digits: int | None = None) -> str:
    """A share with one decimal, or with so many digits at most."""
    return f"{100 * share:.1f}%" if digits is None else f"{100 * share:.{digits}g}%"


def percent_interval(share: Summary) -> str:
    """A share with its interval, such as ``99.6% [98.1%, 100.2%]``."""
    if share.mean is None:
        return "an unknown share"
    if share.low is None or share.high is None:
        return percent(share.mean)
    return f"{percent(share.mean)} [{percent(share.low)}, {percent(share.high)}]"
