"""Plain text as a table: a text in each line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mtl_sharing.data.tables.files import LineCounts, open_text
from mtl_sharing.data.tables.tables import Record


@dataclass(frozen=True)
class PlainText:
    """A text file that is no table; with the methods of ``TableFile``.

    Args:
        path: UTF-8 with or without a BOM, plain or in gzip.
        quoting: as in ``TableFile``, should the file turn out to be a table.
    """

    path: Path
    quoting: bool = True
    kind: ClassVar[str] = "plain text"
    delimiter: ClassVar[None] = None
    column: ClassVar[str] = "text"

    def columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    def records(self, counts: LineCounts | None = None) -> Iterator[Record]:
        """A row for each line that is not blank; raises as ``TableFile.records``."""
        counts = LineCounts() if counts is None else counts
        with open_text(self.path, newline="\n") as lines:  # a carriage return alone ends no line
            for number, line in enumerate(lines, start=1):
                counts.lines += 1
                if line.strip():
                    yield Record(number, {self.column: line.rstrip("\r\n")})
                else:
                    counts.blank += 1

    def first_line(self) -> str:
        """The first line that is not blank; empty without one."""
        first = next(self.records(), None)
        return "" if first is None else str(first.fields[self.column])

    def nested_rows(self) -> tuple[str, str] | None:
        """None, as for a ``TableFile`` that is no JSON."""
        return None
