"""Writing a report: the page, its tables and its figures, each file at once under its name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_sharing import __version__
from mtl_sharing.errors import UserError
from mtl_sharing.report.inputs.runs import RunCollection, read_runs
from mtl_sharing.report.page.contents import TABLE_NAMES, ReportContents, collect, gather
from mtl_sharing.report.page.figures import ReportFigures, looks_of, trade_offs
from mtl_sharing.report.page.page import FigureView, Page, Section, render
from mtl_sharing.report.page.sections import figures_of, sections, status_counts
from mtl_sharing.report.page.table_files import FORMATS as TABLE_FORMATS
from mtl_sharing.report.page.table_files import write_tables
from mtl_sharing.utils.files import replace_file, replace_text

if TYPE_CHECKING:
    import pandas as pd

PAGE, TABLES, FIGURES = "report.html", "tables", "figures"
_FIGURE = re.compile(r"trade_off|splits_\d+_layers|schedules|curves_\w+|cosines|sweep_\d+")
FIGURE_FORMATS = ("svg", "png", "pdf")
FORMATS = ("html", *TABLE_FORMATS, *FIGURE_FORMATS)
DEFAULT_FORMATS = ("html", *TABLE_FORMATS, "svg")


@dataclass(frozen=True)
class Written:
    """What a report came to.

    Attributes:
        comparison: the table of the groups.
        places: what was written: the page, and the folders of tables and figures.
    """

    comparison: "pd.DataFrame"
    headlines: Sequence[str]
    places: tuple[Path, ...]


def write_report(
    paths: Sequence[Path],
    out: Path,
    title: str | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    tell: Callable[[str], object] = lambda words: None,
) -> Written:
    """Reads every run at or below the paths and writes the report into ``out``.

    Args:
        title: None for one that names the paths.
        formats: some of :data:`FORMATS`.
        tell: hears what is being done.

    Raises:
        UserError: a path without runs, no finished run, or an ``out`` that is a file.
        OSError: ``out`` cannot be written; no final name holds half a file.
    """
    tell("reading runs")
    reading = read_runs(paths)
    if not reading.finished:
        found = status_counts(reading.runs) if reading.runs else "no run"
        raise UserError(_listed(paths), found, "at least one finished run")
    if out.exists() and not out.is_dir():
        raise UserError("--out", f"{out}, a file", "a folder, or the name of a new one")
    out.mkdir(parents=True, exist_ok=True)
    tell("comparing groups")
    collected = collect(reading)
    points = trade_offs(collected.groups)
    looks = looks_of(collected.groups, points)
    contents = gather(reading, collected, list(looks.named))
    tell("drawing figures")
    kinds = list(dict.fromkeys(["svg", *(kind for kind in formats if kind in FIGURE_FORMATS)]))
    pictures = ReportFigures(collected.groups, points, reading.runs, looks, kinds)
    found_sections = sections(contents, pictures)
    tell("writing")
    places = _write(contents, found_sections, out, formats)
    if "html" in formats:
        page = Page(
            title or f"Report of {_listed(paths)}", _facts(paths, reading, contents),
            tuple(found_sections), tuple(kind for kind in TABLE_FORMATS if kind in formats),
        )  # fmt: skip
        replace_text(out / PAGE, render(page))
        places.insert(0, out / PAGE)
    comparison = contents.tables["comparison"].frame
    return Written(comparison, contents.collected.headlines, tuple(places))


def _write(
    contents: ReportContents, found: Sequence[Section], out: Path, formats: Sequence[str]
) -> list[Path]:
    """Writes tables and figures; the folders that hold them."""
    places = []
    table_kinds = [kind for kind in TABLE_FORMATS if kind in formats]
    if table_kinds:
        last = contents.left_out()
        tables = {**contents.tables, **({last.name: last} if last else {})}
        write_tables(out / TABLES, {n: t.frame for n, t in tables.items()}, table_kinds)
        _remove_earlier(out / TABLES, [n for n in TABLE_NAMES if n not in tables], table_kinds)
        places.append(out / TABLES)
    figure_kinds = [kind for kind in FIGURE_FORMATS if kind in formats]
    figures = {figure.name: figure for figure in figures_of(found)}
    for name, figure in figures.items():
        for kind in figure_kinds:
            _write_figure(out / FIGURES / f"{name}.{kind}", figure, kind)
    others = [p.stem for p in (out / FIGURES).glob("*.*") if _FIGURE.fullmatch(p.stem)]
    _remove_earlier(out / FIGURES, [name for name in others if name not in figures], figure_kinds)
    return [*places, *([out / FIGURES] if figure_kinds else [])]


def _remove_earlier(folder: Path, names: Sequence[str], kinds: Sequence[str]) -> None:
    """Removes what an earlier report had and this one has not, of the kinds that are written."""
    for name in names:
        for kind in kinds:
            (folder / f"{name}.{kind}").unlink(missing_ok=True)


def _write_figure(path: Path, figure: FigureView, kind: str) -> None:
    replace_file(path, lambda temporary: temporary.write_bytes(figure.files[kind]))


def _facts(
    paths: Sequence[Path], reading: RunCollection, contents: ReportContents
) -> tuple[tuple[str, str], ...]:
    """What stands under the title."""
    written = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z").strip()
    sweeps = {run.sweep for run in reading.runs if run.sweep}
    several = f"; {len(sweeps)} sweeps" if len(sweeps) > 1 else "; 1 sweep" if sweeps else ""
    finished = sum(len(group.runs) for group in contents.groups)
    return (
        ("written", f"{written}, by mtl-sharing {__version__}"),
        ("read", _listed(paths)),
        ("found", f"{status_counts(reading.runs)}{several}"),
        ("compared", f"{len(contents.groups)} groups of {finished} finished runs"),
    )


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
