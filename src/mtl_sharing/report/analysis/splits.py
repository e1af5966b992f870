"""Scores and metrics of regimes over the number of layers that their tasks share."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mtl_sharing.plotting.lines import Line, Panel, Panels
from mtl_sharing.plotting.training_curves import PERFORMANCE
from mtl_sharing.plotting.words import scale_words
from mtl_sharing.report.analysis.statistics import interval_of, summarize
from mtl_sharing.report.analysis.trade_offs import metric_levels, performance_levels
from mtl_sharing.report.analysis.values import pearson_of, performance_path, scored_on, values_of
from mtl_sharing.report.inputs.groups import Group

SCORE = "score"
_Members = Sequence[tuple[int, Group]]


def split_panels(groups: Sequence[Group]) -> dict[int, Panels]:
    """Score, performance and each task over the number of shared lower layers, by encoder depth.

    A line is a family of regimes that are otherwise alike, with a point for each seed. Its plans
    are like S6-I6, S12 and I12, at least two of them.
    """
    families: dict[tuple[str, ...], list[tuple[int, Group]]] = defaultdict(list)
    for group in groups:
        split = split_of(group.plan)
        if split is not None:
            parts = json.dumps(group.runs[0].parts, sort_keys=True)
            key = (str(split[1]), parts, *(f"{n}={v}" for n, v in group.differs.items()))
            families[key].append((split[0], group))
    depths: dict[int, dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for key, members in families.items():
        members.sort(key=lambda member: member[0])
        for title, line in _split_lines(members, performance_path(groups)):
            depths[int(key[0])][title].append(line)
    return {
        layers: {title: _panel(title, own, groups) for title, own in lines.items()}
        for layers, lines in depths.items()
    }


def _panel(title: str, lines: Sequence[Line], groups: Sequence[Group]) -> Panel:
    """The panel of a number: of a performance or metric with its floor, which a score has not."""
    if title == SCORE:
        return Panel(lines, "without a floor")
    if title == PERFORMANCE:
        return Panel(lines, scale_words(pearson_of(groups)), performance_levels(groups))
    return Panel(lines, "", metric_levels(groups, title.rpartition(" ")[0]))


def _split_lines(members: _Members, performance: str) -> Iterator[tuple[str, Line]]:
    first = members[0][1]
    family = first.label.removeprefix(first.plan).strip(" +")  # the label without the plan
    family = family or ("usual settings" if first.differs else "")
    metrics = {task: first.runs[0].result["tasks"][task]["metric"] for task in first.tasks}
    tasks = {f"{task} {metric}": f"tasks.{task}.value" for task, metric in metrics.items()}
    for where, own in _by_machine(members).items():
        yield from _line(SCORE, f"{family} {where}".strip(), own, SCORE)
    for title, path in ({PERFORMANCE: performance} | tasks).items():
        yield from _line(title, family, members, path)


def _line(title: str, name: str, members: _Members, path: str) -> Iterator[tuple[str, Line]]:
    """The line of a number in result.json, if it has two split points."""
    points = [(split, v) for split, group in members for v in values_of(group, path).values()]
    if len({split for split, _ in points}) > 1:
        yield title, with_intervals(Line(name, points))


def with_intervals(line: Line) -> Line:
    """The line with the 95% t interval of the mean wherever it has three seeds or more."""
    values: dict[float, list[float]] = defaultdict(list)
    for x, y in line.points:
        values[x].append(y)
    intervals = {x: interval_of(summarize(own)) for x, own in values.items()}
    found = [(x, *ends) for x, ends in sorted(intervals.items()) if ends is not None]
    return replace(line, intervals=found)


def _by_machine(members: _Members) -> dict[str, _Members]:
    """The members whose scores were timed on each machine, which is named if there are several.

    A score that was not timed is the same on all of them.
    """
    own = {group: scored_on(group.runs).machines for _, group in members}
    machines = dict.fromkeys(machine for some in own.values() for machine in some)
    if len(machines) < 2:
        return {"": [*members]}
    return {m: [one for one in members if {*own[one[1]]} <= {m}] for m in machines}


def split_of(plan: str) -> tuple[int, int] | None:
    """Shared lower layers and all layers of a plan like S6-I6; None for other plans."""
    match = re.fullmatch(r"(?:S(\d+))?-?(?:I(\d+))?", plan)
    if not match or not any(match.groups()):
        return None
    shared, separate = (int(digits or 0) for digits in match.groups())
    return shared, shared + separate
