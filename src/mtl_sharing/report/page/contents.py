"""What a report says beside its tables: single examples, confusions, the course of sweeps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_sharing.report.analysis import tables
from mtl_sharing.report.analysis.comparisons import Comparison, compare_all
from mtl_sharing.report.analysis.examples import (
    Confusion,
    confusions,
    parting_examples,
    worst_examples,
)
from mtl_sharing.report.analysis.predictions import RunPredictions
from mtl_sharing.report.analysis.tables import left_out_table, summary_of
from mtl_sharing.report.inputs.groups import Group, baseline_of, make_groups
from mtl_sharing.report.inputs.runs import RunCollection
from mtl_sharing.report.inputs.sweeps import SweepHistory, read_sweep_histories

if TYPE_CHECKING:
    import pandas as pd


if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Table:
    """A table under its name, which is its file's too."""

    name: str
    title: str
    frame: "pd.DataFrame"
    note: str


@dataclass(frozen=True, eq=False)
class ReportTables:
    """What a report says in words and numbers.

    Attributes:
        headlines: a sentence for each group.
        comparisons: what the table of tests shows.
    """

    groups: list[Group]
    evidence: RunPredictions
    comparisons: list[Comparison]
    tables: list[Table]
    headlines: list[str]


_NOTES = {
    "comparison": "Mean ± standard deviation over seeds [95% bootstrap interval of the mean, from "
    "three seeds on]; kept: of separate models' performance, paired by seed.",
    "tests": "The first group minus the second, with a 95% interval, on the seeds that both have "
    "and the same dev examples; p (Holm) is corrected for all groups held against their baseline.",
    "precision_recall_f1": "Macro averages over classes, mean ± standard deviation over seeds; "
    "changes in percent.",
    "classes": "Mean ± standard deviation over seeds.",
    "cost": "Means ± standard deviations over seeds; FLOPs of matrix products.",
    "runs": "Every run that was found.",
    "left_out": "What the figures and tables lack, and why.",
}
COLLECTED = tuple(_NOTES)
"""Names of the tables that are collected here, where they have a row."""


def collect(reading: RunCollection) -> ReportTables:
    """Groups, tests, tables and headlines of all that was read."""
    groups = make_groups(reading.runs)
    evidence = RunPredictions.of(groups)
    comparisons = compare_all(groups, evidence)
    found = [
        _table("comparison", "Comparison", tables.comparison_table(groups)),
        _table("tests", "Paired tests", tables.tests_table(comparisons)),
        _table("precision_recall_f1", "Precision, recall and F1", tables.class_table(groups)),
        _table("classes", "By class", tables.by_class_table(groups)),
        _table("cost", "What it cost", tables.cost_table(groups)),
        _table("runs", "All runs", tables.runs_table(reading, groups)),
        # Last, when every file has been read.
        _table("left_out", "Left out", tables.left_out_table(reading, groups)),
    ]
    headlines = [tables.headline(group, groups) for group in groups]
    shown = [table for table in found if len(table.frame)]
    return ReportTables(groups, evidence, comparisons, shown, headlines)


def _table(name: str, title: str, frame: "pd.DataFrame") -> Table:
    return Table(name, title, frame, _NOTES[name])


TABLE_NAMES = (*COLLECTED, "confusion", "examples", "parting_examples")
"""Of all tables that a report can have."""

# Worst examples of each group and task in the file.
MOST_EXAMPLES = 20
_FIRST = ["group", "task"]


@dataclass(frozen=True, eq=False)
class ReportContents:
    """Everything that a report says.

    Attributes:
        shown: groups whose single examples and confusions are told: of many the telling ones.
        best: the group with the highest mean performance.
        best_sharing: the same of the groups that share something; None where none does.
        tables: those collected, and examples and confusions; only those with a row.
        confusions: of the groups shown.
        courses: of the sweeps.
    """

    reading: RunCollection
    collected: ReportTables
    shown: Sequence[Group]
    best: Group
    best_sharing: Group | None
    tables: dict[str, Table]
    confusions: tuple[Confusion, ...]
    courses: tuple[SweepHistory, ...]

    @property
    def groups(self) -> Sequence[Group]:
        """All groups."""
        return self.collected.groups

    def left_out(self) -> Table | None:
        """What could not be used, and why; ask last: files are known damaged once they are read."""
        frame = left_out_table(self.reading, self.groups)
        note = "What figures and tables lack, and why."
        return Table("left_out", "Left out", frame, note) if len(frame) else None


def gather(reading: RunCollection, collected: ReportTables, named: Sequence[str]) -> ReportContents:
    """Adds single examples, confusions and sweeps to what was collected.

    Args:
        named: labels of the groups whose single examples are told.
    """
    groups, evidence = collected.groups, collected.evidence
    shown = [group for group in groups if group.label in set(named)]
    ranked = sorted(groups, key=lambda group: -(summary_of(group, "performance").mean or 0.0))
    sharing = next((group for group in ranked if not group.separate), None)
    found = tuple(each for group in shown for each in confusions(group, evidence))
    courses, unread = read_sweep_histories(reading.runs)
    added = [
        Table("confusion", "Confusion", _confusion_table(found),
              "Examples by label and prediction, summed over seeds."),
        Table("examples", "Worst examples", _worst(shown, evidence),
              "The largest mean errors over seeds."),
        Table("parting_examples", "Where groups part", _parting(sharing, groups, evidence),
              "What separate models have right and the best of the others has wrong."),
    ]  # fmt: skip
    tables = {table.name: table for table in (*collected.tables, *added) if len(table.frame)}
    tables.pop("left_out", None)
    reading = RunCollection(reading.runs, (*reading.left_out, *unread))
    return ReportContents(
        reading, collected, shown, ranked[0], sharing, tables, found, tuple(courses)
    )


def _confusion_table(found: Sequence[Confusion]) -> "pd.DataFrame":
    """A row for each pair of label and prediction."""
    import pandas as pd

    return pd.DataFrame(
        {"group": each.label, "task": each.task, "label": label, "prediction": prediction,
         "examples": int(each.counts[row, column]), "seeds": each.seeds}
        for each in found
        for row, label in enumerate(each.classes)
        for column, prediction in enumerate(each.classes)
    )  # fmt: skip


def _worst(groups: Sequence[Group], evidence: RunPredictions) -> "pd.DataFrame":
    """The worst examples of every group and task."""

    def frames() -> "Iterator[pd.DataFrame]":
        for group in groups:
            for task in group.tasks:
                found = worst_examples(group, task, evidence, MOST_EXAMPLES)
                if found is not None:
                    yield found.assign(group=group.label, task=task)

    return _together(list(frames()))


def _parting(
    group: Group | None, groups: Sequence[Group], evidence: RunPredictions
) -> "pd.DataFrame":
    """What the group's baseline has right and the group wrong; empty where one is not there."""
    baseline = None if group is None else baseline_of(group, groups)
    if group is None or baseline is None:
        return _together([])
    found = [(task, parting_examples(baseline, group, task, evidence)) for task in group.tasks]
    return _together([
        each.rename(columns={"other prediction": f"prediction of {group.label}"})
        .assign(group=baseline.label, task=task)
        for task, each in found if each is not None
    ])  # fmt: skip


def _together(found: "list[pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    whole = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    rest = [name for name in whole if name not in _FIRST]
    return whole[[*_FIRST, *rest]] if found else whole
