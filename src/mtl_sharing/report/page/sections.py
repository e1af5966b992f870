"""The sections of the page, from what a report says and its pictures."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mtl_sharing.report.analysis.examples import Confusion
from mtl_sharing.report.analysis.tables import FIGURES
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.report.page.contents import ReportContents
from mtl_sharing.report.page.figures import ReportFigures, counted
from mtl_sharing.report.page.page import (
    MOST_ROWS,
    Block,
    Cell,
    FigureView,
    Grid,
    Section,
    Sentences,
    TableView,
    table_view,
)
from mtl_sharing.report.page.table_files import shown
from mtl_sharing.run_folder.layout import Status

if TYPE_CHECKING:
    import pandas as pd

MOST_HEADLINES = 12
MOST_CONFUSIONS = 4
MOST_PAGE_EXAMPLES = 10
# Of tables that have several rows for each group.
MOST_LONG_ROWS = 60
_WIDE = ("text", "text_pair", "note", "why", "what")
_LABELS = ("group", "against", "task")


def sections(contents: ReportContents, pictures: ReportFigures) -> list[Section]:
    """All sections that have something to show, then what is left out."""
    made = [*_figures(contents, pictures), *_detail(contents), *_sweeps(contents, pictures)]
    found = [section for section in made if section.blocks]
    absent = [section for section in made if not section.blocks]
    found.append(_all_runs(contents))
    return [*found, _left_out(contents, found, absent)]


def _figures(contents: ReportContents, pictures: ReportFigures) -> Iterator[Section]:
    headlines = contents.collected.headlines
    rest = len(headlines) - MOST_HEADLINES
    more = (f"… and {counted(rest, 'more group')}, in the table below.",) if rest > 0 else ()
    yield Section("short", "In short", (Sentences((*headlines[:MOST_HEADLINES], *more)),))
    yield Section(
        "comparison", "Comparison", _table(contents, "comparison"),
        "A row is a group of runs that are equal but for the seed: what it reaches, what it keeps"
        " of separate models' performance, and what of their parameters, memory and time it takes.",
    )  # fmt: skip
    yield Section("size", "Performance against size", (pictures.trade_off(),))
    yield Section("split", "Split point", tuple(pictures.splits()))
    yield Section("sampling", "Sampling schedules", tuple(pictures.schedules()))
    yield Section("curves", "Training curves", tuple(pictures.training()))
    yield Section("gradients", "Agreement of gradients", tuple(pictures.cosines()))


def _detail(contents: ReportContents) -> Iterator[Section]:
    yield Section("tests", "Paired tests", _tests(contents))
    scores = contents.tables.get("precision_recall_f1")
    views = () if scores is None else (_view(_by_task(scores.frame), scores.note, scores.name),)
    classes = _table(contents, "classes", MOST_LONG_ROWS)
    yield Section("classes", "Precision, recall and F1", (*views, *classes))
    yield Section("confusion", "Confusion", tuple(_confusions(contents)))
    yield Section("examples", "Worst examples", tuple(_examples(contents)))
    yield Section("cost", "Cost", _table(contents, "cost"))


def _sweeps(contents: ReportContents, pictures: ReportFigures) -> Iterator[Section]:
    blocks: list[Block] = []
    for number, course in enumerate(contents.courses):
        total = sum(course.counts.values())
        states = ", ".join(f"{count:,} {state}" for state, count in course.counts.items())
        lines = [f"{course.name}: {counted(total, 'trial')}, {states}."]
        lines += [
            f"{counted(count, 'trial')} pruned: {why}" for why, count in course.pruned.items()
        ]
        blocks.append(Sentences(tuple(lines[:MOST_HEADLINES])))
        if course.trials:
            blocks.append(pictures.course(course, number))
    yield Section("sweeps", "Sweeps", tuple(blocks))


def _all_runs(contents: ReportContents) -> Section:
    counts = f"{status_counts(contents.reading.runs)}."
    return Section("runs", "All runs", _table(contents, "runs"), counts)


_WHY_ABSENT = {
    "split": "no two regimes that differ in the number of shared lower layers alone",
    "sampling": "no run drew its tasks by their size",
    "curves": "no run has a metrics.csv with an evaluation",
    "gradients": "no run wrote the gradients' cosines of each stage (loss.cosines=stages)",
    "tests": "no two groups to compare",
    "classes": "no result has a precision",
    "confusion": "no run has its predictions",
    "examples": "no run has its predictions",
    "cost": "no costs are known",
    "sweeps": "no run is a trial of a sweep with a sweep.csv",
}


def _left_out(
    contents: ReportContents, made: Sequence[Section], absent: Sequence[Section]
) -> Section:
    lines = [f"Section “{section.title}”: {_WHY_ABSENT[section.name]}." for section in absent]
    hidden = len(contents.groups) - len(contents.shown)
    if hidden:
        lines.append(f"{counted(hidden, 'group')} without a colour, single examples and confusions"
                     f" of their own: those of {len(contents.shown)} are told.")  # fmt: skip
    cut = [
        (section.title, view)
        for section in made
        for view in section.blocks
        if isinstance(view, TableView) and view.cut
    ]
    lines += [f"{view.cut:,} of {view.count:,} rows of “{title}”: the table's file has them."
              for title, view in cut]  # fmt: skip
    found = contents.left_out()
    table = () if found is None else (_view(found.frame, found.note, found.name),)
    if not lines and not table:
        lines = ["Nothing."]
    said = (Sentences(tuple(lines)),) if lines else ()
    return Section("left_out", "Left out", (*said, *table))


def status_counts(runs: Sequence[Run]) -> str:
    """How many runs there are of each status."""
    counts = Counter(run.status for run in runs)
    words = [f"{counts[status]:,} {status}" for status in Status if counts[status]]
    return f"{counted(len(runs), 'run')}: {', '.join(words)}"


def _table(contents: ReportContents, name: str, most: int = MOST_ROWS) -> tuple[TableView, ...]:
    """The table of this name; none where it has no row."""
    found = contents.tables.get(name)
    return () if found is None else (_view(found.frame, found.note, found.name, most),)


def _tests(contents: ReportContents) -> tuple[TableView, ...]:
    """The tests over all seeds that two groups have in common."""
    if "tests" not in contents.tables:
        return ()
    table = contents.tables["tests"]
    frame = table.frame.drop_duplicates(["group", "against", "figure"])
    more = " Tests of single seeds are in the file." * (len(frame) < len(table.frame))
    return (_view(frame, table.note + more, table.name, MOST_LONG_ROWS),)


def _view(frame: "pd.DataFrame", caption: str, file: str = "", most: int = MOST_ROWS) -> TableView:
    head = frame.head(most)
    texts = shown(head)
    numbers = [str(name) for name in texts if head[name].dtype.kind in "iuf"]
    values = head[list(texts.columns)]
    return table_view(texts, caption, file, numbers, _WIDE, _LABELS, values, len(frame))


def _by_task(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The table of precision, recall and F1 with a row for each group and task."""
    import pandas as pd

    rows: dict[tuple[str, str], dict[str, object]] = {}
    for row in frame.to_dict("records"):
        group, task, figure = row.pop("group"), row.pop("task"), row.pop("figure")
        found = rows.setdefault((group, task), {"group": group, "task": task})
        if figure not in FIGURES:
            found["metric"], figure = figure, "metric value"
        found |= {f"{figure}{str(name).removeprefix('value')}": v for name, v in row.items()}
    whole = pd.DataFrame([
        {name.replace("against", " against"): value for name, value in row.items()}
        for row in rows.values()
    ])  # fmt: skip
    later = [name for name in whole if " against" in str(name)]
    first = ["group", "task", "metric"]
    return whole[[*first, *(n for n in whole if n not in (*first, *later)), *later]]


def _confusions(contents: ReportContents) -> Iterator[Block]:
    """A grid of matrices for each task: the best group, baselines, then others."""
    ranked = [contents.best.label, *(g.label for g in contents.shown if g.separate)]
    by_task: dict[str, list[Confusion]] = {}
    for each in contents.confusions:
        by_task.setdefault(each.task, []).append(each)
    for task, found in by_task.items():
        order = [each.label for each in found]
        found = sorted(found, key=lambda each: (ranked + order).index(each.label))
        rest = len(found) - MOST_CONFUSIONS
        more = f" {counted(rest, 'more group')} in the file." if rest > 0 else ""
        note = (
            f"{task}: rows are labels, columns predictions; shaded by the share of a label.{more}"
        )
        yield Grid(tuple(_matrix(each) for each in found[:MOST_CONFUSIONS]), note)


def _matrix(confusion: Confusion) -> TableView:
    heads = tuple(Cell(name, number=True) for name in confusion.classes)
    sums = confusion.counts.sum(axis=1)
    rows = tuple(
        (Cell(name), *(
            Cell(f"{count:,}", number=True, shade=count / max(1, total), strong=row == column)
            for column, count in enumerate(counts)
        ))
        for row, (name, counts, total) in enumerate(
            zip(confusion.classes, confusion.counts.tolist(), sums.tolist(), strict=True)
        )
    )  # fmt: skip
    caption = f"{confusion.task}, {confusion.label} ({counted(confusion.seeds, 'seed')})"
    return TableView(caption, (Cell("label"), *heads), rows, len(rows))


def _examples(contents: ReportContents) -> Iterator[Block]:
    """The worst examples of the best group, and what separate models have right beside it."""
    label, other = contents.best.label, contents.best_sharing
    for name, words in (
        ("examples", f"The largest errors of {label}, the group that performs best, mean over"
                     " seeds; prediction is the most frequent one, of a regression the mean."),
        ("parting_examples", "Right by separate models in more seeds than by"
                             f" {other and other.label}; of a regression closer."),
    ):  # fmt: skip
        if name not in contents.tables:
            continue
        frame = contents.tables[name].frame
        chosen = frame[frame["group"] == label] if name == "examples" else frame
        for task, rows in chosen.groupby("task", sort=False):
            seen = rows.drop(columns=["group", "task", "id"]).dropna(axis="columns", how="all")
            head = _whole_numbers(seen.head(MOST_PAGE_EXAMPLES))
            yield _view(head, f"{task}. {words}", name)


def _whole_numbers(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The frame with classes as whole numbers, where their columns hold nothing else."""
    names = [name for name in frame if "prediction" in str(name) or name == "label"]
    whole = [n for n in names if frame[n].dtype.kind == "f" and (frame[n] % 1 == 0).all()]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def figures_of(found: Sequence[Section]) -> list[FigureView]:
    """The figures of the sections in their order."""
    return [block for section in found for block in section.blocks
            if isinstance(block, FigureView)]  # fmt: skip
