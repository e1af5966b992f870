"""Writes the tables of one or more runs into docs/performance.md, between two marker lines.

python -m benchmarks.document outputs/bench/2026-01-31_12-00-00
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.shapes import format_meetings
from benchmarks.tables import (
    METRIC_HEADER,
    RATIO_HEADER,
    SCHEMA,
    Row,
    format_heading,
    format_machine,
    format_rates,
    metric_rows,
    ratio_rows,
)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_SECTION = re.compile(r"^### .*?(?=^### |\Z)", re.MULTILINE | re.DOTALL)


def main(arguments: Sequence[str]) -> None:
    """Rewrites the page from results folders."""
    folders = [Path(argument) for argument in arguments]
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), folders), encoding="utf-8")


def rewritten(text: str, folders: Sequence[Path]) -> str:
    """The page with the tables of results folders between its markers.

    There is one section for each kind of machine. A section of a kind that no folder has is kept.

    Raises:
        ValueError: the page does not hold each marker once, in order, or a folder has another
            version of the results.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the page needs one {BEGIN} and after it one {END}")
    before, _, rest = text.partition(BEGIN)
    present, _, after = rest.partition(END)
    sections = {_kind(part): part.strip() for part in _SECTION.findall(present)}
    measured: dict[str, list[str]] = {}
    for folder in folders:
        heading, *parts = _measured(folder)
        measured.setdefault(_kind(heading), [heading]).extend(parts)
    sections |= {kind: "\n\n".join(parts) for kind, parts in measured.items()}
    return f"{before}{BEGIN}\n" + "\n\n".join(sections.values()) + f"\n{END}{after}"


def _kind(section: str) -> str:
    return section.partition(":")[0]


def _measured(folder: Path) -> list[str]:
    """The heading, and the paragraphs of a folder."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    if results["schema"] != SCHEMA:
        found = results["schema"]
        raise ValueError(f"{folder}: found schema {found}; allowed: {SCHEMA} (measure again)")
    parts = [
        format_heading(results["machine"]),
        f"Measured {format_machine(results)}. {format_rates(results)}.",
        "\n".join(_table(RATIO_HEADER, ratio_rows(results))),
        "\n".join(_table(METRIC_HEADER, metric_rows(results))),
    ]
    if "shapes" in results:
        parts.append(f"{format_meetings(results['shapes'])}.")
    scaling = folder / "scaling.json"
    if scaling.is_file():
        parts.append(_scaling(json.loads(scaling.read_text(encoding="utf-8"))))
    return parts


def _table(header: Row, rows: Iterable[Row]) -> list[str]:
    lines = [header, tuple("---" for _ in header), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines]


def _scaling(record: Mapping[str, Any]) -> str:
    return "Scaling:\n\n" + "\n".join(f"- {line}" for line in record["found"])


if __name__ == "__main__":
    main(sys.argv[1:])
