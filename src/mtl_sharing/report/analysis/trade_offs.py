"""Performance against size of each group, and what to compare a performance with."""

import re
from collections.abc import Sequence
from dataclasses import replace

from mtl_sharing.plotting.levels import FLOOR, Level, reference_levels
from mtl_sharing.plotting.trade_off import TradeOff
from mtl_sharing.plotting.training_curves import PERFORMANCE
from mtl_sharing.report.analysis.statistics import interval_of, summarize
from mtl_sharing.report.analysis.values import (
    common,
    floor_of,
    group_flags,
    number,
    pearson_of,
    performance_path,
    summary_of,
    values_of,
)
from mtl_sharing.report.inputs.groups import Group, baseline_of

# The facts of the data that a performance is measured on.
_OF_DEV = re.compile(r"data\..*\.(metric|examples|floor|digests\.dev)")


def trade_offs(groups: Sequence[Group]) -> list[TradeOff]:
    """Size and performance of each group, sorted by size.

    The Pareto front compares means of the same data and metrics: no group has as few parameters and
    a higher mean, or fewer and as high a mean. Correlations count as :func:`pearson_of` says.
    """
    path, points = performance_path(groups), []
    for group in groups:
        values = tuple(values_of(group, path).values())
        summary, size = summarize(values), summary_of(group, "params.total").mean or 0.0
        mean, flagged = summary.mean or 0.0, bool(group_flags(group))
        data = " ".join(v for n, v in group.differs.items() if _OF_DEV.fullmatch(n))
        interval = interval_of(summary)
        points.append(TradeOff(group.label, size, values, mean, interval, False, flagged, data))
    points = [replace(p, front=not any(_beats(other, p) for other in points)) for p in points]
    return sorted(points, key=lambda point: (point.parameters, -point.mean, point.group))


def performance_levels(groups: Sequence[Group]) -> list[Level]:
    """The levels to compare a performance with, as far as all groups have the same.

    Separate models count with their mean over seeds if the report has them, else with what the
    runs were held against.
    """
    path = performance_path(groups)
    baselines = dict.fromkeys(baseline_of(group, groups) for group in groups)
    separate = [summary_of(one, path, interval=True) for one in baselines if one is not None]
    separate = separate or [summary_of(group, "reference.performance") for group in groups]
    reference = common(one.mean for one in separate if one.mean is not None)
    interval = None if reference is None else interval_of(separate[0])
    floor = common(floor_of(group, pearson_of(groups)) for group in groups)
    keep = common(number(run.result, "scored_by.keep") for group in groups for run in group.runs)
    return reference_levels(floor, reference, keep, interval)


def metric_levels(groups: Sequence[Group], task: str) -> list[Level]:
    """The floor of a task's metric or of the performance, if it is the same for all groups."""
    pearson = pearson_of(groups)
    floor = common(
        floor_of(group, pearson) if task == PERFORMANCE
        else summary_of(group, f"tasks.{task}.floor").mean
        for group in groups
    )  # fmt: skip
    return [] if floor is None else [Level(FLOOR, floor)]


def _beats(one: TradeOff, other: TradeOff) -> bool:
    equal = (one.parameters, one.mean) == (other.parameters, other.mean)
    if one.data != other.data:
        return False
    return one.parameters <= other.parameters and one.mean >= other.mean and not equal
