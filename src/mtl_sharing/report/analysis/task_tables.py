"""The tables of a report with a row for each task, or for each class of one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mtl_sharing.report.analysis.statistics import Summary, summarize
from mtl_sharing.report.analysis.tables import make_frame, spread, spreads
from mtl_sharing.report.analysis.values import (
    CONSTANT,
    averages_of,
    class_name,
    described_task,
    metric_of,
    summary_of,
    values_of,
)
from mtl_sharing.report.inputs.groups import Group, baseline_of
from mtl_sharing.report.inputs.runs import Record
from mtl_sharing.score.reference import METRICS, SEPARATE, UNTUNED, percent_change

if TYPE_CHECKING:
    import pandas as pd


def task_table(groups: Sequence[Group]) -> "pd.DataFrame":
    """One row for each group with the metric of every task, then the best constant answers."""
    rows = [{"group": group.label} | _task_columns(group, "value") for group in groups]
    floors = [_task_columns(group, "floor", False) for group in groups]
    # Of other data a floor would differ.
    if all(floor == floors[0] for floor in floors) and None not in floors[0].values():
        rows.append({"group": CONSTANT, **floors[0]})
    return make_frame(rows)


def _task_columns(group: Group, name: str, with_spread: bool = True) -> Record:
    columns: Record = {}
    for task in group.tasks:
        title = f"{task} {metric_of(group, task)}"
        summary = summary_of(group, f"tasks.{task}.{name}", True)
        columns |= spread(title, summary, True) if with_spread else {title: summary.mean}
    return columns


def class_table(groups: Sequence[Group]) -> "pd.DataFrame":
    """One row for each group, task and metric: macro precision, recall, F1 and the main metric.

    The changes in percent come from the runs' own results, or else from the report's separate
    models on the same seeds.
    """
    return make_frame(
        _class_row(group, baseline_of(group, groups), task, name)
        for group in groups
        for task in group.tasks
        for name in dict.fromkeys((*averages_of(group, task), metric_of(group, task)))
    )


def _class_row(group: Group, baseline: Group | None, task: str, name: str) -> Record:
    label = described_task(group, task) if name in METRICS else task
    row: Record = {"group": group.label, "task": label, "figure": name}
    row |= spread("value", summary_of(group, f"tasks.{task}.{name}"))
    for kind in (SEPARATE, UNTUNED):
        change = summary_of(group, f"against.{kind}.{task}.{name}")
        if not change.n and kind == SEPARATE and baseline is not None and baseline is not group:
            change = _change(group, baseline, f"tasks.{task}.{name}")
        row |= spread(f"against {kind} %", change)
    return row


def _change(group: Group, baseline: Group, path: str) -> Summary:
    own, base = values_of(group, path), values_of(baseline, path)
    changes = [percent_change(own[seed], base[seed]) for seed in own if seed in base]
    return summarize([change for change in changes if change is not None], interval=False)


def by_class_table(groups: Sequence[Group]) -> "pd.DataFrame":
    """One row for each group, task and class, with precision, recall and F1."""
    return make_frame(
        {
            "group": group.label,
            "task": described_task(group, task),
            "class": class_name(group, task, name),
        }
        | spreads(group, {m: f"tasks.{task}.by_class.{name}.{m}" for m in METRICS})
        for group in groups
        for task in group.tasks
        if averages_of(group, task)
        for name in group.runs[0].result["tasks"][task].get("by_class", {})
    )
