"""The sections of the page, made from a report's contents and figures."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mtl_sharing.report.analysis.notes import common_note
from mtl_sharing.report.analysis.values import CONSTANT
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.report.page.contents import NOTES, ReportContents
from mtl_sharing.report.page.example_sections import confusion_blocks, example_blocks
from mtl_sharing.report.page.figures import ReportFigures, counted
from mtl_sharing.report.page.page import (
    MOST_ROWS,
    Block,
    Cell,
    Section,
    Sentences,
    TableView,
    table_view,
)
from mtl_sharing.run_folder.decision import Decision
from mtl_sharing.run_folder.layout import Status
from mtl_sharing.score.reference import METRICS

if TYPE_CHECKING:
    import pandas as pd

MOST_NOTES = 12
MOST_FIRST_ROWS = 14
# For tables with several rows for each group.
MOST_LONG_ROWS = 60
_WHY_ABSENT = {
    "settings": "all runs are equal but for the seed",
    "tasks": "no result has a task",
    "split": "no two regimes that differ in the number of shared lower layers alone",
    "sampling": "no two runs drew their tasks by size with schedules that differ",
    "curves": "no run has a metrics.csv with an evaluation",
    "gradients": "no run wrote the gradients' cosines of each stage (loss.cosines=stages)",
    "tests": "no two groups to compare",
    "classes": "no result has a precision",
    "confusion": "no run has its predictions",
    "examples": "no run has its predictions",
    "cost": "no costs are known",
    "sweeps": "no run is a trial of a sweep with a sweep.csv",
}


def first_blocks(contents: ReportContents, figures: ReportFigures) -> tuple[Block, ...]:
    """The figure and the table of the first screen."""
    frame, most = contents.tables["answer"], MOST_FIRST_ROWS
    shown = [group.label for group in (contents.best, *contents.shown)]
    # Of many groups those with a colour in the figure, then others; a constant answer last.
    first = frame[frame["group"].isin([*shown, CONSTANT])]
    rows = frame if len(frame) <= most else first.head(most)
    more = len(frame) - len(rows)
    caption = " ".join(filter(None, (
        NOTES["answer"], common_note(contents.groups),
        f"{counted(more, 'more group')} in the table's file and in “All numbers”." * bool(more),
    )))  # fmt: skip
    table = replace(table_view(rows, caption, "answer"), cards=True)
    chosen = contents.answer.chosen
    figure = figures.trade_off(None if chosen is None else chosen.label)
    return figure, replace(table, rows=_marked(table, contents))


def _marked(table: TableView, contents: ReportContents) -> tuple[tuple[Cell, ...], ...]:
    """The rows, with the label of the group to take in bold."""
    chosen = contents.answer.chosen
    return tuple(
        (replace(row[0], strong=chosen is not None and row[0].text == chosen.label), *row[1:])
        for row in table.rows
    )


def make_sections(contents: ReportContents, figures: ReportFigures) -> list[Section]:
    """All sections with content, then what is left out."""
    made = [
        Section("tests", "Paired tests", _tests(contents)),
        Section("tasks", "Tasks", _table(contents, "tasks")),
        Section("split", "Split point", tuple(figures.splits())),
        Section("sampling", "Sampling schedules", tuple(figures.schedules())),
        Section("curves", "Training curves", tuple(figures.training())),
        Section("gradients", "Agreement of gradients", tuple(figures.cosines())),
        Section("classes", "Precision, recall and F1", _classes(contents)),
        Section("confusion", "Confusion", tuple(confusion_blocks(contents))),
        Section("examples", "Wrong examples", tuple(example_blocks(contents))),
        Section("cost", "Cost", _table(contents, "cost")),
        Section("sweeps", "Sweeps", tuple(_sweeps(contents, figures))),
        Section("settings", "Settings that differ", _settings(contents)),
        Section("comparison", "All numbers", _table(contents, "comparison"),
                "A row is a group of runs that are equal but for the seed: what it reaches, what it"
                " keeps of separate models' performance, and what of their parameters, memory and"
                " time it takes."),
    ]  # fmt: skip
    present = [section for section in made if section.blocks]
    absent = [section for section in made if not section.blocks]
    counts = status_counts(contents.collection.runs)
    present.append(Section("runs", "Every run", _table(contents, "runs"), hint=counts))
    return [*present, _left_out(contents, present, absent)]


def _settings(contents: ReportContents) -> tuple[Block, ...]:
    """Notes on the settings that set groups apart, and on the timing of their scores."""
    lines = list(contents.notes[:MOST_NOTES])
    rest = len(contents.notes) - MOST_NOTES
    if rest > 0:
        lines.append(f"… and {counted(rest, 'more note')}: see clock in “All numbers”.")
    table = _table(contents, "apart")
    return (Sentences(tuple(lines)), *table) if lines else table


def _classes(contents: ReportContents) -> tuple[TableView, ...]:
    name = "precision_recall_f1"
    if name not in contents.tables:
        return ()
    scores = table_view(_by_task(contents.tables[name]), NOTES[name], name)
    return (scores, *_table(contents, "classes", MOST_LONG_ROWS))


def _sweeps(contents: ReportContents, figures: ReportFigures) -> Iterator[Block]:
    for number, history in enumerate(contents.histories):
        total = counted(sum(history.counts.values()), "trial")
        states = ", ".join(f"{count:,} {state}" for state, count in history.counts.items())
        lines = [f"{history.name}: {total}, {states}."]
        if history.decision is not None:
            lines += _answer(history.decision)
        lines += [f"{counted(n, 'trial')} pruned: {why}" for why, n in history.pruned.items()]
        yield Sentences(tuple(lines[:MOST_NOTES]))
        if history.decision is not None:
            yield figures.answer(history.name, history.decision, number)
            continue
        if history.trials:
            yield figures.history(history, number)


def _answer(decision: Decision) -> list[str]:
    dev = [] if decision.dev is None else [f"The chosen regime on dev: {decision.dev.text}."]
    return [f"Answer: {decision.sentence}.", *dev]


def _left_out(
    contents: ReportContents, present: Sequence[Section], absent: Sequence[Section]
) -> Section:
    lines = [f"Section “{section.title}”: {_WHY_ABSENT[section.name]}." for section in absent]
    hidden = len(contents.groups) - len(contents.shown)
    if hidden:
        lines.append(f"{counted(hidden, 'group')} drawn in grey, without examples or confusions; "
                     f"{len(contents.shown)} have them.")  # fmt: skip
    lines += [
        f"{view.cut:,} of {view.count:,} rows of “{section.title}”: the table's file has them."
        for section in present
        for view in section.blocks
        if isinstance(view, TableView) and view.cut
    ]
    frame = contents.left_out()
    blocks: list[Block] = [table_view(frame, NOTES["left_out"], "left_out")] if len(frame) else []
    if lines or not blocks:
        blocks.insert(0, Sentences(tuple(lines or ["Nothing."])))
    return Section("left_out", "Left out", tuple(blocks))


def status_counts(runs: Sequence[Run]) -> str:
    """The number of runs, and of each status."""
    counts = Counter(run.status for run in runs)
    parts = [f"{counts[status]:,} {status}" for status in Status if counts[status]]
    return f"{counted(len(runs), 'run')}: {', '.join(parts)}"


def _table(contents: ReportContents, name: str, most: int = MOST_ROWS) -> tuple[TableView, ...]:
    """The table of this name; none if it has no row."""
    frame = contents.tables.get(name)
    return () if frame is None else (table_view(frame, NOTES[name], name, most),)


def _tests(contents: ReportContents) -> tuple[TableView, ...]:
    """The tests over all common seeds of two groups."""
    table = contents.tables.get("tests")
    if table is None:
        return ()
    frame = table.drop_duplicates(["group", "against", "figure"])
    more = " Tests of single seeds are in the file." * (len(frame) < len(table))
    return (table_view(frame, NOTES["tests"] + more, "tests", MOST_LONG_ROWS),)


def _by_task(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The table of precision, recall and F1 with one row for each group and task."""
    import pandas as pd

    frame = frame.set_index(["group", "task"])
    metrics, values = frame["figure"], frame.drop(columns="figure")
    kinds = metrics.where(metrics.isin(METRICS), "metric value")
    parts = []
    for kind in kinds.unique():
        parts.append(values[kinds == kind])
        suffixes = values.columns.str.removeprefix("value").str.replace("against", " against")
        parts[-1].columns = kind + suffixes
    table = pd.concat(parts, axis="columns")
    if "metric value" in table:
        table.insert(0, "metric", metrics[kinds == "metric value"])
    changes = [name for name in table if " against" in str(name)]
    return table[[*table.columns.drop(changes), *changes]].reset_index()
