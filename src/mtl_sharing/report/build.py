"""Builds a report: the page, its tables and its figures; every file is replaced at once."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_sharing.errors import UserError
from mtl_sharing.report.analysis.trade_offs import trade_offs
from mtl_sharing.report.inputs.groups import make_groups
from mtl_sharing.report.inputs.runs import RunCollection, read_runs
from mtl_sharing.report.page.contents import NOTES, ReportContents, make_contents
from mtl_sharing.report.page.figures import ReportFigures, group_styles
from mtl_sharing.report.page.folder import FIGURE, FIGURES, PAGE, SUMMARY, TABLES, check_folder
from mtl_sharing.report.page.page import Block, FigureView, Page, render
from mtl_sharing.report.page.sections import first_blocks, make_sections, status_counts
from mtl_sharing.report.page.summary import summary_text
from mtl_sharing.report.page.table_files import FORMATS as TABLE_FORMATS
from mtl_sharing.report.page.table_files import write_tables
from mtl_sharing.utils.files import replace_file, replace_text, short_path
from mtl_sharing.utils.locks import exclusive_folder
from mtl_sharing.utils.terminal import printable

if TYPE_CHECKING:
    import pandas as pd

FIGURE_FORMATS = ("svg", "png", "pdf")
FORMATS = ("html", *TABLE_FORMATS, *FIGURE_FORMATS)
DEFAULT_FORMATS = ("html", *TABLE_FORMATS, "svg")
# Sentences in the repr of a report.
_SHOWN = 5


@dataclass(frozen=True)
class Written:
    """A report on disk: the answer, the table of groups, notes, and what was written.

    ``repr`` shows the sentences and the paths.

    Attributes:
        answer: the sentence that answers, then sentences on it.
        comparison_file: the file with the whole table of groups; None if only figures were written.
    """

    comparison: "pd.DataFrame"
    answer: Sequence[str]
    notes: Sequence[str]
    paths: tuple[Path, ...]
    comparison_file: Path | None

    def __repr__(self) -> str:
        paths = _listed([*map(short_path, self.paths)])
        return "\n".join(map(printable, [*self.answer[:_SHOWN], paths]))


def write_report(
    paths: Sequence[Path],
    out: Path,
    title: str | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    on_step: Callable[[str], object] = lambda step: None,
) -> Written:
    """Reads every run at or below the paths and writes the report into ``out``.

    Args:
        title: None for a title with the paths.
        formats: some of :data:`FORMATS`.
        on_step: called with a description of each step.

    Raises:
        UserError: a path has no run, no run is finished, ``out`` is a file, or a folder with
            something else than an earlier report.
        OSError: ``out`` cannot be written; no final name holds a partial file.
    """
    on_step("reading runs")
    collection = read_runs(paths)
    if not collection.finished:
        raise UserError(_listed(paths), _none_finished(collection), "at least one finished run")
    check_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    on_step("comparing groups")
    groups = make_groups(collection.runs)
    points = trade_offs(groups)
    styles = group_styles(groups, points)
    contents = make_contents(collection, groups, [g for g in groups if g.label in styles])
    on_step("drawing figures")
    kinds = list(dict.fromkeys(["svg", *(kind for kind in FIGURE_FORMATS if kind in formats)]))
    figures = ReportFigures(groups, points, collection.runs, styles, kinds)
    first, sections = first_blocks(contents, figures), make_sections(contents, figures)
    blocks = [*first, *(block for section in sections for block in section.blocks)]
    on_step("writing")
    tables = [kind for kind in TABLE_FORMATS if kind in formats]
    kinds = [kind for kind in kinds if kind in formats]
    heading, facts = title or f"Report of {_listed(paths)}", _facts(paths, contents)
    answer = contents.answer_lines
    parts = {PAGE: "html" in formats, SUMMARY: "md" in formats, TABLES: tables, FIGURES: kinds}
    names = [name for name, made in parts.items() if made]
    with exclusive_folder(out):  # two reports at once leave the whole of one
        _write_tables(contents, out / TABLES, tables)
        _write_figures(blocks, out / FIGURES, kinds)
        if parts[SUMMARY]:
            replace_text(out / SUMMARY, summary_text(heading, facts, contents, names))
        if parts[PAGE]:
            page = Page(heading, facts, sections, tables, answer, first)
            replace_text(out / PAGE, render(page))
    written = tuple(out / name for name in names)
    whole = [out / TABLES / f"comparison.{kind}" for kind in tables] or [*written[:1]]
    file = whole[0] if tables or parts[PAGE] else None
    return Written(contents.tables["comparison"], answer, contents.notes, written, file)


def _write_tables(contents: ReportContents, folder: Path, kinds: Sequence[str]) -> None:
    left_out = contents.left_out()
    tables = contents.tables | ({"left_out": left_out} if len(left_out) else {})
    write_tables(folder, tables, kinds)
    _remove_earlier(folder, NOTES.keys() - tables.keys(), kinds)


def _write_figures(blocks: Sequence[Block], folder: Path, kinds: Sequence[str]) -> None:
    figures = {block.name: block.files for block in blocks if isinstance(block, FigureView)}
    for name, files in figures.items():
        for kind in kinds:
            replace_file(folder / f"{name}.{kind}", partial(Path.write_bytes, data=files[kind]))
    stems = {path.stem for path in folder.glob("*.*")}
    _remove_earlier(folder, set(filter(FIGURE.fullmatch, stems - set(figures))), kinds)


def _remove_earlier(folder: Path, names: Collection[str], kinds: Sequence[str]) -> None:
    """Removes files of an earlier report that this one lacks."""
    for name in names:
        for kind in kinds:
            (folder / f"{name}.{kind}").unlink(missing_ok=True)


def _facts(paths: Sequence[Path], contents: ReportContents) -> tuple[tuple[str, str], ...]:
    """Labels and texts below the title."""
    written = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z").strip()
    runs = contents.collection.runs
    sweeps = len({run.sweep for run in runs if run.sweep})
    of_sweeps = f"; {sweeps} sweeps" if sweeps > 1 else "; 1 sweep" if sweeps else ""
    finished = sum(len(group.runs) for group in contents.groups)
    return (
        ("written", f"{written}, by mtl-sharing {version('mtl-sharing')}"),
        ("read", _listed(paths)),
        ("found", f"{status_counts(runs)}{of_sweeps}"),
        ("compared", f"{len(contents.groups)} groups of {finished} finished runs"),
    )


def _none_finished(collection: RunCollection) -> str:
    """The runs by status, and why the first of those with a reason is not finished."""
    if not collection.runs:
        return "no run"
    reasons = [f"; {run.name}: {run.reason}" for run in collection.runs if run.reason]
    return status_counts(collection.runs) + "".join(reasons[:1])


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
