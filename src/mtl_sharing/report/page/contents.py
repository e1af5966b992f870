"""The contents of a report: its tables, headlines, confusions and sweep histories."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_sharing.report.analysis import tables
from mtl_sharing.report.analysis.comparisons import compare_all
from mtl_sharing.report.analysis.examples import (
    Confusion,
    confusions,
    parting_examples,
    worst_examples,
)
from mtl_sharing.report.analysis.notes import headline, notes
from mtl_sharing.report.analysis.predictions import RunPredictions
from mtl_sharing.report.analysis.values import summary_of
from mtl_sharing.report.inputs.groups import Group, baseline_of
from mtl_sharing.report.inputs.runs import RunCollection
from mtl_sharing.report.inputs.sweeps import SweepHistory, read_sweep_histories

if TYPE_CHECKING:
    import pandas as pd

MOST_EXAMPLES = 20
"""Worst examples of each group and task in the file."""
NOTES = {
    "comparison": "Mean ± standard deviation over seeds [95% t interval of the mean, from three "
    "seeds on]; kept: of separate models' performance, paired by seed; floor: the "
    "performance of the best constant answer to each task; kept above floor: what is kept of what "
    "lies above it. A score or time of runs on several machines is a dash.",
    "apart": "What groups differ in: runs that differ in one of these are never averaged. Keys of "
    "data are facts of a task's examples; digests are of their texts and labels.",
    "tests": "The first group minus the second, with a 95% interval, on the seeds that both have "
    "and the same dev examples; p (Holm) is corrected for all groups held against their baseline.",
    "precision_recall_f1": "Macro averages over the classes in labels or predictions, mean ± "
    "standard deviation over seeds; a class that is never predicted counts as 0 in precision, one "
    "in no label as 0 in recall; changes in percent. Those of a regression, where its runs ask "
    "for them (score.rounded), are of values rounded to whole classes.",
    "classes": "Mean ± standard deviation over seeds.",
    "cost": "Means ± standard deviations over seeds; FLOPs of matrix products.",
    "runs": "Every run that was found.",
    "confusion": "Examples by label and prediction, summed over seeds.",
    "examples": "The largest mean errors over seeds.",
    "parting_examples": "What separate models have right and the best of the others has wrong.",
    "left_out": "What figures and tables lack, and why.",
}
"""The caption of every table, by the name of its file."""


@dataclass(frozen=True, eq=False)
class ReportContents:
    """Everything in a report except its figures.

    Attributes:
        shown: the groups with single examples and confusions.
        notes: sentences on what sets the groups apart, and on how their scores were timed.
        best: the group with the highest mean performance.
        best_sharing: the best group that shares something; None if there is none.
        tables: the tables that have a row, by name.
    """

    collection: RunCollection
    groups: Sequence[Group]
    shown: Sequence[Group]
    best: Group
    best_sharing: Group | None
    headlines: Sequence[str]
    notes: Sequence[str]
    tables: dict[str, "pd.DataFrame"]
    confusions: Sequence[Confusion]
    histories: Sequence[SweepHistory]

    def left_out(self) -> "pd.DataFrame":
        """The omissions of the report with reasons; complete once all files have been read."""
        return tables.left_out_table(self.collection, self.groups)


def make_contents(
    collection: RunCollection, groups: Sequence[Group], shown: Sequence[Group]
) -> ReportContents:
    """Compares the groups and makes all tables; those shown have single examples and confusions."""
    predictions = RunPredictions.of(groups)
    ranked = sorted(groups, key=lambda g: -(summary_of(g, "performance").mean or 0.0))
    sharing = next((group for group in ranked if not group.separate), None)
    frames = {
        "comparison": tables.comparison_table(groups),
        "apart": tables.apart_table(groups),
        "tests": tables.tests_table(compare_all(groups, predictions)),
        "precision_recall_f1": tables.class_table(groups),
        "classes": tables.by_class_table(groups),
        "cost": tables.cost_table(groups),
        "runs": tables.runs_table(collection.runs, groups),
    }
    baseline = None if sharing is None else baseline_of(sharing, groups)
    parting = [] if sharing is None or baseline is None else [
        parting_examples(baseline, sharing, task, predictions) for task in sharing.tasks
    ]  # fmt: skip
    matrices = [matrix for group in shown for matrix in confusions(group, predictions)]
    frames |= {
        "confusion": _confusion_table(matrices),
        "examples": _joined(
            worst_examples(group, task, predictions, MOST_EXAMPLES)
            for group in shown
            for task in group.tasks
        ),
        "parting_examples": _joined(parting),
    }
    histories, damaged = read_sweep_histories(collection.runs)
    return ReportContents(
        RunCollection(collection.runs, (*collection.omissions, *damaged)), groups, shown,
        ranked[0], sharing, [headline(group, groups) for group in groups], notes(groups),
        {name: frame for name, frame in frames.items() if len(frame)}, matrices, histories,
    )  # fmt: skip


def _confusion_table(matrices: Iterable[Confusion]) -> "pd.DataFrame":
    """One row for each pair of label and prediction."""
    import pandas as pd

    return pd.DataFrame(
        {"group": matrix.label, "task": matrix.task, "label": label, "prediction": prediction,
         "examples": int(matrix.counts[row, column]), "seeds": matrix.seeds}
        for matrix in matrices
        for row, label in enumerate(matrix.classes)
        for column, prediction in enumerate(matrix.classes)
    )  # fmt: skip


def _joined(frames: "Iterable[pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    present = [frame for frame in frames if len(frame)]
    return pd.concat(present, ignore_index=True) if present else pd.DataFrame()
