"""Sentences on the groups: what each keeps, what sets them apart, how their scores were timed."""

from collections.abc import Sequence

from mtl_sharing.report.analysis.values import (
    baseline_parameters,
    clock_of,
    group_flags,
    kept,
    kept_above_floor,
    summary_of,
)
from mtl_sharing.report.inputs.groups import Group, baseline_of, distinguishing_keys


def headline(group: Group, groups: Sequence[Group]) -> str:
    """A group in one sentence: what it keeps, at which size."""
    baseline = baseline_of(group, groups)
    share, size = kept(group, baseline), summary_of(group, "params.total").mean
    flag = group_flags(group)
    flag = flag and f" [{flag}]"
    base = baseline_parameters(group, baseline)
    at = f"{size:,.0f} parameters"
    if group.separate or share.mean is None:
        value = summary_of(group, "performance")
        spread = "" if value.deviation is None else f" ± {value.deviation:.4f}"
        reached = f"{value.mean:.4f}{spread} (n={value.n})"
        return f"{group.label} reaches a performance of {reached} with {at}{flag}"
    spread = "" if share.deviation is None else f" ± {100 * share.deviation:.1f}"
    cost = f"{100 * size / base:.0f}% of the parameters" if size and base else at
    percent = f"{100 * share.mean:.1f}%{spread} (n={share.n})"
    above = kept_above_floor(group, baseline).mean
    beside = "" if above is None else f" ({100 * above:.1f}% above a constant answer)"
    return f"{group.label} keeps {percent} of separate models' performance{beside} at {cost}{flag}"


def notes(groups: Sequence[Group]) -> list[str]:
    """Sentences on what groups differ in, and on how the scores by the clock were measured."""
    keys, lines = distinguishing_keys(groups), []
    if keys:
        lines.append(f"groups stand apart by {', '.join(keys)}: no mean is taken across them")
    for group in groups:
        clock = clock_of(group.runs)
        if "timed pairs x" in clock:
            how = f"{clock['clock']}, timed pairs {clock['timed pairs x']} x"
            lines.append(f"{group.label}: the score's time was {how}")
    return lines
