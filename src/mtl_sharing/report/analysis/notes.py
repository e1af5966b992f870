"""Sentences on the groups: what each keeps, what sets them apart, how their scores were timed."""

from collections.abc import Sequence

from mtl_sharing.report.analysis.values import (
    baseline_parameters,
    group_flags,
    kept,
    kept_above_floor,
    summary_of,
)
from mtl_sharing.report.inputs.groups import Group, baseline_of, distinguishing_keys
from mtl_sharing.score.clock import clock_of, is_timed, range_text


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
    return lines + [f"{group.label}: {line}" for group in groups if (line := _timing(group))]


def _timing(group: Group) -> str | None:
    """How a score was timed, or why a group has none; None where no score was."""
    results = [run.result for run in group.runs]
    clock, timed = clock_of(results), any(map(is_timed, results))
    if len(clock.machines) > 1:
        what = "score and times" if timed else "times"
        return f"timed on {clock.where}; its {what} are left out, since they are never averaged"
    how = f"measured on {clock.where}, timed pairs {range_text(clock.pairs)} x"
    return f"the score's time was {how}" if timed else None
