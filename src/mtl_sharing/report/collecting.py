"""All tables of a report at once, each with its title and what must be known to read it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_sharing.report import tables
from mtl_sharing.report.comparing import Comparison, compare_all
from mtl_sharing.report.evidence import Evidence
from mtl_sharing.report.groups import Group, make_groups
from mtl_sharing.report.runs import Reading

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
class Collected:
    """What a report says in words and numbers.

    Attributes:
        headlines: a sentence for each group.
        comparisons: what the table of tests shows.
    """

    groups: list[Group]
    evidence: Evidence
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


def collect(reading: Reading) -> Collected:
    """Groups, tests, tables and headlines of all that was read."""
    groups = make_groups(reading.runs)
    evidence = Evidence.of(groups)
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
    return Collected(groups, evidence, comparisons, shown, headlines)


def _table(name: str, title: str, frame: "pd.DataFrame") -> Table:
    return Table(name, title, frame, _NOTES[name])
