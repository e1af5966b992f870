"""Reads a user's table, whose delimiter and header are found out."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mtl_sharing.data.tables.cells import as_number, valid_text
from mtl_sharing.data.tables.delimited import DelimitedFile
from mtl_sharing.data.tables.files import LineCounts, extension
from mtl_sharing.data.tables.tables import DELIMITED, DELIMITERS, FORMATS, PACKED, Record, TableFile
from mtl_sharing.data.tasks.sources import FormatConfig
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.init import hints
from mtl_sharing.utils.logging import log_level

_FIRST_ROWS = 200  # that show delimiter and header
_REGULAR = 0.9  # share of rows with as many fields as the first one
_LONG_NAME = 6  # words of a first row that are rather a text than a name
Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class DataTable:
    """A user's table in memory.

    Attributes:
        path: absolute.
        format: differs from the default where the file does not show it by its extension.
        columns: names of the columns; those without a valid name are left out.
    """

    path: Path
    format: FormatConfig
    columns: tuple[str, ...]
    records: tuple[Record, ...]

    @property
    def is_delimited(self) -> bool:
        """Whether the table is delimited text."""
        return extension(self.path) in DELIMITERS

    @property
    def delimiter(self) -> str:
        """The delimiter of delimited text."""
        return self.format.delimiter or DELIMITERS[extension(self.path)]


def read_table(path: Path) -> DataTable:
    """Reads a whole table.

    Raises:
        UserError: no table, a table without rows, or what its reader refuses.
    """
    if path.is_file() and extension(path) not in FORMATS:
        allowed = f"a table: {one_of(FORMATS)} ({PACKED}); a spreadsheet saves a CSV"
        raise UserError(str(path), f"the extension {path.suffix!r}", allowed)
    table = TableFile(path)
    form = _find_format(path) if table.kind == DELIMITED else FormatConfig()
    table = TableFile(path, **vars(form))
    if (nested := table.nested_rows()) is not None:
        raise UserError(str(path), *nested)
    columns = tuple(n for n in table.columns() if n.strip() and n == valid_text(n))
    records = tuple(table.records())
    if not records:
        found = "no rows" if columns else "an empty file"
        raise UserError(str(path), found, "a table: a text and its label in each row")
    return DataTable(path, form, columns, records)


def _find_format(path: Path) -> FormatConfig:
    own = DELIMITERS[extension(path)]
    with log_level("mtl_sharing.data.tables", logging.ERROR):  # it warns when the table is read
        rows_by = {own: list(_first_rows(path, own))}
        for other in "\t;,|":
            with suppress(UserError):
                rows_by.setdefault(other, list(_first_rows(path, other)))
    delimiter = choose_delimiter(rows_by)
    is_own = delimiter == own
    return FormatConfig(None if is_own else delimiter, header=has_header(rows_by[delimiter]))


def _first_rows(path: Path, delimiter: str) -> Iterator[list[str]]:
    rows = DelimitedFile(path, delimiter, quoting=True).rows(LineCounts())
    return ([cell.strip() for cell in row] for _, row in islice(rows, _FIRST_ROWS))


def choose_delimiter(rows_by: Mapping[str, Rows]) -> str:
    """The delimiter that makes the most regular rows; the first one if it makes regular ones.

    Args:
        rows_by: the first rows as each delimiter makes them, that of the extension first.
    """
    own = next(iter(rows_by))
    regular = {delimiter: _regularity(rows) for delimiter, rows in rows_by.items()}
    return own if regular[own] >= _REGULAR else max(regular, key=regular.__getitem__)


def _regularity(rows: Rows) -> float:
    """The share of rows with as many fields as the first, which has two or more."""
    width = len(rows[0]) if rows else 0
    return sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0.0


def has_header(rows: Rows) -> bool:
    """Whether the first of these rows names the columns, rather than being one of the data."""
    first, rest = rows[0] if rows else (), rows[1:]
    if not rest or list(first) == [str(number) for number in range(len(first))]:
        return True
    below = [[row[i] for row in rest if i < len(row) and row[i]] for i in range(len(first))]
    if any(hints.is_known(name) and name not in c for name, c in zip(first, below, strict=True)):
        return True
    numbers = [
        as_number(name) is not None
        for name, cells in zip(first, below, strict=True)
        if name and cells and all(as_number(cell) is not None for cell in cells)
    ]
    if numbers:
        return not all(numbers)
    is_repeated = any(c.count(name) > 1 for name, c in zip(first, below, strict=True) if name)
    return not is_repeated and max(len(re.findall(r"\w+", name)) for name in first) < _LONG_NAME
