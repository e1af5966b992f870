"""``mtl-report``: one page over any mix of runs and sweeps."""

import json
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_sharing.cli.options import add_common_options, run_with

if TYPE_CHECKING:
    from mtl_sharing.report.build import Written

# Further lines are in the files only.
_MOST_LINES = 20
_HELP = """\
Reads every run at or below the folders, in whatever state, and writes
  report.html   everything on one page that opens offline
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
        "what to write: html; csv, md, tex for tables; svg, png, pdf for figures"
        " (default: html,csv,md,tex,svg)"))  # fmt: skip
    add_common_options(parser)
    return parser


def _report(options: Namespace) -> None:
    # Here, not above: --help must not wait for torch.
    from mtl_sharing.errors import check_known
    from mtl_sharing.report.build import DEFAULT_FORMATS, FORMATS, write_report
    from mtl_sharing.utils.progress import steps

    formats: Sequence[str] = DEFAULT_FORMATS
    if options.formats is not None:
        formats = [name.strip() for name in options.formats.split(",")]
        for name in formats:
            check_known("--formats", name, FORMATS)
    with steps("reading runs") as on_step:
        written = write_report(options.folders, options.out, options.title, formats, on_step)
    _print(written)


def _print(written: "Written") -> None:
    """Prints the table of groups, the headlines, and the paths of the report."""
    from mtl_sharing.cli.groups_table import show_groups
    from mtl_sharing.utils.files import short_path
    from mtl_sharing.utils.terminal import show, show_json, wants_json

    show_groups(written.comparison)
    file = written.comparison_file
    where = "not written: see --formats" if file is None else str(short_path(file))
    lines = ["", *_cut(written.headlines, "flags", where), *_cut(written.notes, "clocks", where)]
    lines.append("")
    lines += map(str, map(short_path, written.paths))
    for line in lines:
        show(line)
    if wants_json():
        groups = json.loads(written.comparison.to_json(orient="records"))  # null for NaN
        show_json({"groups": groups, "flags": [*written.headlines], "clocks": [*written.notes],
                   "files": [*map(str, written.paths)]})  # fmt: skip


def _cut(lines: Sequence[str], content: str, where: str) -> list[str]:
    """The first lines, then how many others there are and which files have their content."""
    rest = len(lines) - _MOST_LINES
    more = f"and {rest:,} more; the {content} of all groups are in the comparison ({where})"
    return [*lines[:_MOST_LINES], *[more] * (rest > 0)]
