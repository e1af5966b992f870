"""The contents of a report: its tables, headlines, confusions and sweep histories."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_sharing.report.analysis import tables, task_tables
from mtl_sharing.report.analysis.answer import make_answer
from mtl_sharing.report.analysis.comparisons import compare_all
from mtl_sharing.report.analysis.examples import (
    Confusion,
    confusions,
    parting_examples,
    worst_examples,
)
from mtl_sharing.report.analysis.notes import notes
from mtl_sharing.report.analysis.predictions import RunPredictions
from mtl_sharing.report.analysis.values import summary_of
from mtl_sharing.report.analysis.verdict_answer import Answer
from mtl_sharing.report.analysis.verdicts import verdict_table
from mtl_sharing.report.inputs.groups import Group, baseline_of
from mtl_sharing.report.inputs.runs import RunCollection
from mtl_sharing.report.inputs.sweeps import SweepHistory, read_sweep_histories

if TYPE_CHECKING:
    import pandas as pd

MOST_EXAMPLES = 20
"""Worst examples of each group and task in the file."""
NOTES = {
    "answer": "Performance over seeds [95% interval, from three seeds on]; kept: of separate "
    "models' performance [95% interval of the paired test over seeds and dev examples; without a "
    "test over seeds alone]; parameters and time: relative to separate models, the time as the "
    "score counts it.",
    "comparison": "Mean ± standard deviation over seeds [95% t interval of the mean, from three "
    "seeds on]; kept: of separate models' performance, paired by seed; floor: the "
    "performance of the best constant answer to each task; kept above floor: what is kept of what "
    "lies above it. A score or time of runs on several machines is a dash.",
    "tasks": "Means over seeds [95% interval, from three seeds on]; a constant answer is the best "
    "one that looks at no text.",
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
    "examples": "Wrong examples with the largest mean errors over seeds.",
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
        answer: which regime to take, and how sure that is.
        best: the group to take, or else the one with the highest mean performance.
        best_sharing: the same among those that share something; None if there is none.
        tables: the tables that have a row, by name.
    """

    collection: RunCollection
    groups: Sequence[Group]
    shown: Sequence[Group]
    best: Group
    best_sharing: Group | None
    answer: Answer
    notes: Sequence[str]
    tables: dict[str, "pd.DataFrame"]
    confusions: Sequence[Confusion]
    histories: Sequence[SweepHistory]

    @property
    def answer_lines(self) -> tuple[str, ...]:
        """The sentence that answers, then those on it, each with its full stop."""
        return tuple(f"{line}." for line in (self.answer.sentence, *self.answer.details))

    def left_out(self) -> "pd.DataFrame":
        """The omissions of the report with reasons; complete once all files have been read."""
        return tables.left_out_table(self.collection, self.groups)


def make_contents(
    collection: RunCollection, groups: Sequence[Group], shown: Sequence[Group]
) -> ReportContents:
    """Compares the groups and makes all tables; those shown have single examples and confusions."""
    predictions = RunPredictions.of(groups)
    histories, damaged = read_sweep_histories(collection.runs)
    comparisons = compare_all(groups, predictions)
    answer = make_answer(groups, comparisons, histories)
    frames = _group_tables(groups, answer) | {
        "tests": tables.tests_table(comparisons),
        "runs": tables.runs_table(collection.runs, groups),
    }
    ranked = _ranked(groups, answer)
    sharing = next((group for group in ranked if not group.separate), None)
    matrices = [matrix for group in shown for matrix in confusions(group, predictions)]
    frames |= {
        "confusion": _confusion_table(matrices),
        "examples": _joined(
            worst_examples(group, task, predictions, MOST_EXAMPLES)
            for group in shown
            for task in group.tasks
        ),
        "parting_examples": _parting_table(sharing, groups, predictions),
    }
    return ReportContents(
        RunCollection(collection.runs, (*collection.omissions, *damaged)), groups, shown,
        ranked[0], sharing, answer, notes(groups),
        {name: frames[name] for name in NOTES if len(frames.get(name, ()))}, matrices, histories,
    )  # fmt: skip


def _group_tables(groups: Sequence[Group], answer: Answer) -> dict[str, "pd.DataFrame"]:
    return {
        "answer": verdict_table(answer.verdicts, answer.probabilities, answer.chosen),
        "comparison": tables.comparison_table(groups),
        "tasks": task_tables.task_table(groups),
        "apart": tables.apart_table(groups),
        "precision_recall_f1": task_tables.class_table(groups),
        "classes": task_tables.by_class_table(groups),
        "cost": tables.cost_table(groups),
    }


def _ranked(groups: Sequence[Group], answer: Answer) -> list[Group]:
    """The group to take first, then the best ones."""
    by_mean = sorted(groups, key=lambda g: -(summary_of(g, "performance").mean or 0.0))
    return sorted(by_mean, key=lambda group: group is not answer.chosen)


def _parting_table(
    sharing: Group | None, groups: Sequence[Group], predictions: RunPredictions
) -> "pd.DataFrame":
    baseline = None if sharing is None else baseline_of(sharing, groups)
    if sharing is None or baseline is None:
        return _joined([])
    return _joined(parting_examples(baseline, sharing, t, predictions) for t in sharing.tasks)


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
