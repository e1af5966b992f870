"""The sections with confusions and single examples."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from mtl_sharing.report.analysis.examples import Confusion
from mtl_sharing.report.page.contents import ReportContents
from mtl_sharing.report.page.figures import counted
from mtl_sharing.report.page.page import Block, Cell, Grid, TableView, table_view

if TYPE_CHECKING:
    import pandas as pd

MOST_CONFUSIONS = 4
MOST_PAGE_EXAMPLES = 10


def confusion_blocks(contents: ReportContents) -> Iterator[Block]:
    """A grid of matrices for each task: the group to take, baselines, then others."""
    first = [contents.best.label, *(g.label for g in contents.shown if g.separate)]
    by_task: dict[str, list[Confusion]] = defaultdict(list)
    for matrix in contents.confusions:
        by_task[matrix.task].append(matrix)
    for task, matrices in by_task.items():
        order = [*first, *(matrix.label for matrix in matrices)]
        ranked = sorted(matrices, key=lambda matrix: order.index(matrix.label))
        rest = len(matrices) - MOST_CONFUSIONS
        more = f" {counted(rest, 'more group')} in the file." if rest > 0 else ""
        note = f"{task}: rows are labels, columns predictions; shaded by the share of a label."
        note += " Values are rounded to whole classes." if ranked[0].rounded else ""
        yield Grid(tuple(map(_matrix, ranked[:MOST_CONFUSIONS])), note + more)


def _matrix(confusion: Confusion) -> TableView:
    heads = (Cell("label"), *(Cell(name, number=True) for name in confusion.classes))
    rows = []
    for row, counts in enumerate(confusion.counts.tolist()):
        total = max(1, sum(counts))
        cells = (
            Cell(f"{count:,}", number=True, shade=count / total, strong=row == column)
            for column, count in enumerate(counts)
        )
        rows.append((Cell(confusion.classes[row]), *cells))
    caption = f"{confusion.task}, {confusion.label} ({counted(confusion.seeds, 'seed')})"
    return TableView(caption, heads, tuple(rows), len(rows))


def example_blocks(contents: ReportContents) -> Iterator[Block]:
    """The worst wrong examples of the group to take, then what separate models predict better."""
    label, other = contents.best.label, contents.best_sharing
    captions = {
        "examples": f"Wrong predictions of {label} with the largest errors, mean over seeds;"
                    " prediction is the most frequent one, of a regression the mean.",
        "parting_examples": f"Wrong by {other and other.label}, and right by separate models in"
                            " more seeds; of a regression those that they come closer to.",
    }  # fmt: skip
    for name, caption in captions.items():
        if name not in contents.tables:
            continue
        frame = contents.tables[name]
        chosen = frame[frame["group"] == label] if name == "examples" else frame
        for task, rows in chosen.groupby("task", sort=False):
            columns = rows.drop(columns=["group", "task", "id"]).dropna(axis="columns", how="all")
            head = _without_repeats(_whole_classes(columns.head(MOST_PAGE_EXAMPLES)))
            yield replace(table_view(head, f"{task}. {caption}", name), cards=True)


def _whole_classes(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The frame with classes as whole numbers, in columns that hold nothing else."""
    names = [name for name in frame if "prediction" in str(name) or name == "label"]
    floats = frame[[name for name in names if frame[name].dtype.kind == "f"]]
    whole = ((floats % 1 == 0) & (floats.abs() < 2**53)).all()
    return frame.astype(dict.fromkeys(whole.index[whole], "Int64"))


def _without_repeats(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The frame without the predictions of each seed where all seeds agree."""
    if "predictions" not in frame or frame["prediction"].dtype.kind == "f":
        return frame
    pairs = zip(frame["prediction"].map(str), frame["predictions"], strict=True)
    agree = all(set(of_seeds.split(", ")) == {one} for one, of_seeds in pairs)
    return frame.drop(columns="predictions") if agree else frame
