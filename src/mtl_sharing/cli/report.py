"""``mtl-report``: one page over any mix of runs and sweeps."""

import json
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_sharing.cli.options import add_common_options, run_with

if TYPE_CHECKING:
    from mtl_sharing.report.build import Written
    from mtl_sharing.utils.summary import Summary

# Further lines are in the files only.
_MOST_LINES = 20
_HELP = """\
Reads every run at or below the folders, in whatever state, and writes
  report.html   everything on one page that opens offline, the answer first
  report.md     the answer and its table, short enough for an issue
  tables/       each table as CSV, Markdown and LaTeX
  figures/      each figure as SVG
"""


def main() -> None:
    """The console script."""
    options = make_parser().parse_args()
    run_with(options, lambda: _report(options), "mtl-report")


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser("mtl-report", description=_HELP,
                            formatter_class=RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("folders", nargs="+", metavar="DIR", type=Path,
                        help="a run, a sweep, or a folder above them")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("report"), metavar="DIR",
                        help="where the report goes (default: report)")  # fmt: skip
    parser.add_argument("--title", help="heading of the page")
    parser.add_argument("--formats", metavar="A,B", help=(
        "what to write: html; md (a summary, and tables); csv, tex for tables; svg, png, pdf"
        " for figures"
        " (default: html,csv,md,tex,svg)"))  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    add_common_options(parser)
    return parser


def _report(options: Namespace) -> None:
    # Here, not above: --help must not wait for torch.
    from mtl_sharing.errors import UserError, check_known
    from mtl_sharing.report.build import DEFAULT_FORMATS, FORMATS, write_report
    from mtl_sharing.utils.progress import steps
    from mtl_sharing.utils.summary import print_summary

    formats: Sequence[str] = DEFAULT_FORMATS
    if options.formats is not None:
        formats = [name.strip() for name in options.formats.split(",")]
        for name in formats:
            check_known("--formats", name, FORMATS)
    if options.open and "html" not in formats:
        raise UserError("--open", f"--formats {options.formats}", "html among the formats")
    with steps("reading runs") as on_step:
        written = write_report(options.folders, options.out, options.title, formats, on_step)
    print_summary(_summary(written))
    if options.open:
        _open(written.paths[0])


def _open(page: Path) -> None:
    """Opens the page in the browser, or says that there is none."""
    import webbrowser

    from mtl_sharing.utils.terminal import show

    if not webbrowser.open(page.resolve().as_uri()):
        show(f"no browser was found: open {page.resolve()} in one")


def _summary(written: "Written") -> "Summary":
    """The answer, the table of groups, the notes, and the paths of the report."""
    from mtl_sharing.cli.groups_table import groups_contents
    from mtl_sharing.utils.files import short_path
    from mtl_sharing.utils.summary import Summary

    table, file = written.comparison, written.comparison_file
    where = "not written: see --formats" if file is None else str(short_path(file))
    notes = _cut(written.notes, "clocks", where)
    contents = ["\n".join(written.answer[1:]), *groups_contents(table), "\n".join(notes)]
    return Summary(
        answer=written.answer[0],
        contents=[content for content in contents if content],
        files=[("" if n else "report", str(short_path(p))) for n, p in enumerate(written.paths)],
        record={
            "answer": [*written.answer], "notes": [*written.notes],
            "groups": json.loads(table.to_json(orient="records")),  # null for NaN
            "files": [*map(str, written.paths)],
        },
    )  # fmt: skip


def _cut(lines: Sequence[str], content: str, where: str) -> list[str]:
    """The first lines, then how many others there are and which files have their content."""
    rest = len(lines) - _MOST_LINES
    more = f"and {rest:,} more; the {content} of all groups are in the comparison ({where})"
    return [*lines[:_MOST_LINES], *[more] * (rest > 0)]
