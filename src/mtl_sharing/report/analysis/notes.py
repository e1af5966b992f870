"""Sentences on the groups: what sets them apart, and how their scores were timed."""

from collections.abc import Sequence

from mtl_sharing.report.inputs.groups import Group, distinguishing_keys
from mtl_sharing.report.inputs.labels import common_settings
from mtl_sharing.score.clock import clock_of, is_timed, range_text


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


def common_note(groups: Sequence[Group]) -> str:
    """The settings that labels leave out since most groups have them; empty without any."""
    common = common_settings([g.label for g in groups], [g.differs for g in groups])
    listed = ", ".join(f"{name} {value}" for name, value in common.items())
    return f"Groups that do not say otherwise: {listed}." if listed else ""
