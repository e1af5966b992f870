"""Reads tables of rows with named columns: CSV, TSV, JSON lines and Parquet."""

import codecs
import csv
import importlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from mtl_sharing.errors import UserError, did_you_mean, first_line, one_of

Value = str | int | float | None

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"
FORMATS = (*DELIMITERS, *JSON_LINES, PARQUET)
LARGEST_FIELD = 2**31 - 1  # the largest limit that the csv module takes on every platform
MOST_NAMES_LISTED = 20
_PARQUET_ROWS = 512  # converted to Python values at a time


@dataclass(frozen=True)
class Record:
    """One row of a table.

    Args:
        line: line of the file where the row starts, from 1 (Parquet and hub: the row's number).
        fields: the values by column name; ``None`` where the row is too short.
        problem: why the row is unreliable, or ``None``. A row with more fields than the header
            has lost or gained a delimiter, so its columns are shifted in ``fields``.
    """

    line: int
    fields: dict[str, Any]
    problem: str | None = None


@dataclass(frozen=True)
class TableFile:
    """A table file.

    Args:
        path: a .csv, .tsv, .txt, .jsonl, .ndjson or .parquet file, UTF-8 with or without a BOM;
            any other extension is read as delimited text when ``delimiter`` is given.
        delimiter: one character that replaces the extension's own (text tables only).
        quoting: whether ``"`` quotes a field; if not, quotes are text.
        header: whether the first line names the columns; if not, they are "0", "1", ...
        raw: keep every value as JSON lines or Parquet have it, to write the row again. Otherwise
            nested values (lists, objects, bytes) are left out, as if their column were missing.
    """

    path: Path
    delimiter: str | None = None
    quoting: bool = True
    header: bool = True
    raw: bool = False

    def columns(self) -> tuple[str, ...]:
        """Column names in order.

        A text column without a name is called "" here and left out of the records. For JSON
        lines, the keys of all lines count: the first line may lack some. Raises as ``records``.
        """
        kind = self._kind()
        if kind == PARQUET:
            return _unique(self.path, open_parquet(self.path).schema_arrow.names)
        if kind in JSON_LINES:
            return tuple(dict.fromkeys(key for record in self.records() for key in record.fields))
        _, first = next(self._text_rows(), (1, []))
        if not self.header:
            return tuple(map(str, range(len(first))))
        return _unique(self.path, [name.strip() for name in first])

    def records(self) -> Iterator[Record]:
        """Rows in order, read lazily; a blank line gives none.

        Raises:
            UserError: at once for a missing file, an unknown format or two columns of one name;
                while reading, with ``file:line``, for text that is not UTF-8 and a bad JSON line.
        """
        kind = self._kind()
        if kind in JSON_LINES:
            return self._json_records()
        columns = self.columns()
        if kind == PARQUET:
            return self._parquet_records()
        rows = islice(self._text_rows(), int(self.header), None)
        return (self._text_record(columns, line, row) for line, row in rows)

    def _kind(self) -> str:
        """The delimiter of a text table, or the extension of another kind of table."""
        if not self.path.is_file():
            raise _no_file(self.path)
        extension = self.path.suffix.lower()
        if extension in JSON_LINES or extension == PARQUET:
            return extension
        if self.delimiter is not None:
            return self.delimiter
        if extension not in DELIMITERS:
            allowed = f"a file that ends in {one_of(FORMATS)}, or a format.delimiter for this task"
            raise UserError(str(self.path), f"the extension {extension!r}", allowed)
        return DELIMITERS[extension]

    def _text_rows(self) -> Iterator[tuple[int, list[str]]]:
        """Each row that is not blank, with the line on which it starts."""
        csv.field_size_limit(LARGEST_FIELD)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.quoting else csv.QUOTE_NONE
        with self.path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter=self._kind(), quoting=quoting)
            start = 1
            try:
                for row in reader:
                    if row:
                        yield start, row
                    start = reader.line_num + 1
            except UnicodeDecodeError:
                raise _not_utf8(self.path) from None
            except csv.Error as error:
                where = f"{self.path}:{start}"
                raise UserError(where, str(error), "a row of delimited text") from None

    def _text_record(self, columns: tuple[str, ...], line: int, row: list[str]) -> Record:
        width = len(columns)
        padded = [*row, *[None] * (width - len(row))]
        fields = {name: value for name, value in zip(columns, padded, strict=False) if name}
        # Empty surplus fields at the end of a row shift no column.
        if not any(value.strip() for value in row[width:]):
            return Record(line, fields)
        first = "the header" if self.header else "the first row"
        return Record(line, fields, f"{len(row)} fields where {first} has {width}")

    def _json_records(self) -> Iterator[Record]:
        with self.path.open(encoding="utf-8-sig") as lines:
            try:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        row = _json_object(self.path, number, line)
                        yield Record(number, row if self.raw else flat(row))
            except UnicodeDecodeError:
                raise _not_utf8(self.path) from None

    def _parquet_records(self) -> Iterator[Record]:
        try:
            batches = open_parquet(self.path).iter_batches(batch_size=_PARQUET_ROWS)
            yield from arrow_records(batches, self.raw)
        except (ValueError, OSError) as error:
            raise _broken(self.path, error) from None


def _no_file(path: Path) -> UserError:
    if path.is_dir():
        return UserError(str(path), "a folder", "a file")
    if not path.parent.is_dir():
        return UserError(str(path), "no such file", f"the folder {path.parent} does not exist")
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    listed = one_of(names[:MOST_NAMES_LISTED]) or "no files"
    more = len(names) - MOST_NAMES_LISTED
    tail = f" and {more} more" if more > 0 else ""
    allowed = f"{path.parent} holds {listed}{tail}{did_you_mean(path.name, names)}"
    return UserError(str(path), "no such file", allowed)


def _unique(path: Path, names: Iterable[str]) -> tuple[str, ...]:
    columns = tuple(names)
    named = [name for name in columns if name]
    repeated = sorted({name for name in named if named.count(name) > 1})
    if repeated:
        raise UserError(f"{path}:1", f"columns named twice: {one_of(repeated)}", "one of each name")
    return columns


def _not_utf8(path: Path) -> UserError:
    """The error that names the line of the first byte that is not UTF-8."""
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{data[error.start]:02x}, which is not UTF-8"
        return UserError(f"{path}:{line}", found, "UTF-8 text")
    return UserError(str(path), "text that is not UTF-8", "UTF-8 text")


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    where = f"{path}:{number}"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(where, f"bad JSON ({error})", "one JSON object a line") from None
    if not isinstance(value, dict):
        raise UserError(where, f"JSON that is a {type(value).__name__}", "one JSON object a line")
    return value


def flat(row: dict[str, Any]) -> dict[str, Value]:
    """The row's scalar values: a bool as 0 or 1, a decimal as a float."""
    fields: dict[str, Value] = {}
    for name, value in row.items():
        if isinstance(value, bool):
            fields[name] = int(value)
        elif isinstance(value, Decimal):
            fields[name] = float(value)
        elif value is None or isinstance(value, str | int | float):
            fields[name] = value
    return fields


def open_parquet(path: Path) -> Any:
    """Opens a ``pyarrow.parquet.ParquetFile``; raises UserError for other files or no pyarrow."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        allowed = "Parquet needs pyarrow: pip install pyarrow"
        raise UserError(str(path), "no pyarrow", allowed) from None
    try:
        return parquet.ParquetFile(path)
    except (ValueError, OSError) as error:
        raise _broken(path, error) from None


def arrow_records(batches: Iterable[Any], raw: bool = False) -> Iterator[Record]:
    """Rows of pyarrow tables or record batches, numbered from 1; ``raw`` as in ``TableFile``."""
    rows = chain.from_iterable(batch.to_pylist() for batch in batches)
    return (Record(number, row if raw else flat(row)) for number, row in enumerate(rows, start=1))


def _broken(path: Path, error: Exception) -> UserError:
    return UserError(str(path), f"a broken file ({first_line(error)})", "a Parquet file")
