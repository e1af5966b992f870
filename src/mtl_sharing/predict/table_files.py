"""The table to predict and the tables of predictions: CSV, TSV, JSON lines and Parquet."""

import csv
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, TextIO

from mtl_sharing.data.tables import tables
from mtl_sharing.data.tables.cells import valid_text
from mtl_sharing.data.tables.files import LineCounts, extension
from mtl_sharing.data.tables.parquet import open_parquet
from mtl_sharing.errors import UserError, did_you_mean, one_of
from mtl_sharing.predict.json_values import json_text
from mtl_sharing.predict.plain_text import PlainText
from mtl_sharing.utils.files import replacing
from mtl_sharing.utils.terminal import PrintableOutput, escape_unencodable

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

CHUNK = 4096
"""Rows in memory at a time; the rows of one chunk are batched by length."""
CSV, TSV, JSONL, PARQUET_NAME = "csv", "tsv", "jsonl", "parquet"
CS224N = "cs224n"
"""The format of Stanford's CS 224N default project, for the tasks' own files alone."""
PLAIN = ".txt"
"""The extension of plain text, which may also be a table."""
STANDARD_OUTPUT = "the standard output"
KINDS = (CSV, TSV, JSONL, PARQUET_NAME, CS224N)
_DELIMITERS = {CSV: ",", TSV: "\t"}

Output = TextIO | PrintableOutput
Row = Mapping[str, Any]
Write = Callable[[Sequence[Row]], None]


@dataclass(frozen=True)
class InputTable:
    """A table file, which can be read several times.

    Attributes:
        columns: the names of its columns.
        name: what messages call it.
    """

    file: tables.TableFile | PlainText
    columns: tuple[str, ...]
    name: str

    @property
    def path(self) -> Path:
        """The file's path."""
        return self.file.path

    def chunks(self, counts: LineCounts, rows: int = CHUNK) -> Iterator[list[tables.Record]]:
        """The rows, at most ``rows`` at a time; their lines are added to ``counts``."""
        records = self.file.records(counts)
        return iter(lambda: list(islice(records, rows)), [])

    def check_rows(self) -> None:
        """Raises UserError unless the table has a row."""
        if next(self.file.records(), None) is None:
            raise UserError(self.name, "no row", "a row or more")

    def check_column(self, option: str, *names: str) -> None:
        """Raises UserError, which lists the columns, unless the table has one of these."""
        if set(names) & set(self.columns):
            return
        if (nested := self.file.nested_rows()) is not None:
            raise UserError(self.name, *nested)
        found = f"no column {' or '.join(map(repr, names))} ({option})"
        allowed = one_of(self.columns) + did_you_mean(names[0], self.columns)
        if self.file.kind == tables.DELIMITED:
            found += " in the first line, which is read as the header"
            allowed += f"; a file without a header needs one, as {names[0]}"
            is_one = len(self.columns) == 1 and any(mark in self.columns[0] for mark in ",;|\t")
            allowed += "; another delimiter is --delimiter" if is_one else ""
        if self.file.kind == PlainText.kind:
            found += ": it is plain text, with a text in each line"
            allowed = "a table, whose first line names the columns"
        raise UserError(self.name, found, allowed)

    def fields(self, names: Sequence[str]) -> "list[pa.Field]":
        """The Arrow fields of these columns: a Parquet file's own, or inferred from JSON lines.

        A column of JSON with nested values, or values of several types, becomes text.
        """
        import pyarrow as pa

        if self.file.kind == tables.PARQUET:
            schema = open_parquet(self.path).schema_arrow
            return [schema.field(name) for name in names]
        if self.file.kind not in tables.JSON:
            return [pa.field(name, pa.string()) for name in names]
        kinds: dict[str, set[str]] = {name: set() for name in names}
        for record in self.file.records():
            for name in names:
                kinds[name].add(_kind(record.fields.get(name)))
        return [arrow_field(name, _common_kind(kinds - {""})) for name, kinds in kinds.items()]


def arrow_field(name: str, kind: str) -> "pa.Field":
    """A column of the Arrow type with this name."""
    import pyarrow as pa

    return pa.field(name, getattr(pa, kind)())


def open_input(
    path: Path, delimiter: str | None, quoting: bool = True, name: str | None = None
) -> InputTable:
    """Opens a table file and reads its header. A .txt file is plain text here.

    Args:
        delimiter: separates the fields of a text table; None is that of the file's extension.
        quoting: as in ``TableFile``.
        name: what messages call it; None for its path.

    Raises:
        UserError: the file is missing, broken, or of an unknown format.
    """
    if delimiter is None and path.is_file() and extension(path) not in tables.FORMATS:
        allowed = f"a file that ends in {one_of(tables.FORMATS)} ({tables.PACKED})"
        found = f"the extension {path.suffix!r}"
        raise UserError(str(path), found, f"{allowed}, or its --delimiter")
    name = str(path) if name is None else name
    file = tables.TableFile(path, delimiter, quoting)
    if file.kind == tables.DELIMITED and delimiter is None and extension(path) == PLAIN:
        return InputTable(PlainText(path, quoting), (PlainText.column,), name)
    names = file.columns()
    if "" in names:
        log.info("ignored columns without a name: %d", names.count(""))
    return InputTable(file, tuple(filter(None, names)), name)


def _kind(value: Any) -> str:
    """The name of an Arrow type that holds a value of JSON; empty for a missing value."""
    if type(value) is int and not -(2**63) <= value < 2**63:
        return "string"
    kinds = {type(None): "", bool: "bool_", int: "int64", float: "float64"}
    return kinds.get(type(value), "string")


def _common_kind(kinds: set[str]) -> str:
    if kinds == {"int64", "float64"}:
        return "float64"
    return kinds.pop() if len(kinds) == 1 else "string"


def format_of(table: InputTable) -> str:
    """The format of a table by its file's extension; CSV for an unknown one, and for plain text."""
    kind = extension(table.path)
    if kind == tables.PARQUET:
        return PARQUET_NAME
    if kind in tables.JSON:
        return JSONL
    if kind == PLAIN:
        return TSV if table.file.delimiter == "\t" and len(table.columns) > 1 else CSV
    return TSV if tables.DELIMITERS.get(kind) == "\t" else CSV


@contextmanager
def table_writer(
    path: Path | None, kind: str, columns: Sequence[str], fields: "Sequence[pa.Field] | None" = None
) -> Iterator[Write]:
    """Opens a table for writing, which replaces ``path`` when the block ends without an error.

    Args:
        path: None writes to the standard output, chunk by chunk.
        kind: ``csv``, ``tsv``, ``jsonl`` or ``parquet``, the last in a file alone.
        columns: in order; a row may lack some.
        fields: the columns' types, for Parquet.

    Raises:
        UserError: a value is nested too deeply to be written.
        OSError: the file cannot be written.
    """
    try:
        with _open_table(path, kind, columns, fields) as write:
            yield write
    except RecursionError:
        found = "a value of the input that is nested too deeply"
        where = STANDARD_OUTPUT if path is None else str(path)
        raise UserError(where, found, "some hundred levels; --id keeps one column") from None


@contextmanager
def _open_table(
    path: Path | None, kind: str, columns: Sequence[str], fields: "Sequence[pa.Field] | None"
) -> Iterator[Write]:
    if path is None:
        if sys.stdout is None:
            raise UserError(STANDARD_OUTPUT, "no output, it is closed", "a folder: --out")
        escape_unencodable(sys.stdout)
        yield _text_table(PrintableOutput(sys.stdout), kind, columns)
        return
    with replacing(path) as temporary:
        if kind == PARQUET_NAME:
            with _parquet(temporary, fields or ()) as write:
                yield write
            return
        # Half of a surrogate pair, which JSON can hold and UTF-8 cannot, stays escaped.
        with open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield _text_table(file, kind, columns)


def _text_table(file: Output, kind: str, columns: Sequence[str]) -> Write:
    return _json(file) if kind == JSONL else _delimited(file, kind, columns)


def check_writable(path: Path, kept: Mapping[str, Path] | None = None) -> None:
    """Makes the folder of an output file, and checks that files can be written there.

    Args:
        kept: files that must not be overwritten, by a description.

    Raises:
        UserError: the path is a folder, or a file to keep.
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise UserError(str(path), "a folder", "the name of a file")
    for description, other in (kept or {}).items():
        if path.exists() and other.exists() and path.samefile(other):
            raise UserError("--out", f"{path}, which is {description}", "another folder")
    with TemporaryFile(dir=path.parent):
        pass


def _delimited(file: Output, kind: str, columns: Sequence[str]) -> Write:
    writer = csv.writer(file, delimiter=_DELIMITERS[kind], lineterminator="\n")
    writer.writerow(columns)
    return lambda rows: writer.writerows([_text(row.get(n)) for n in columns] for row in rows)


def _json(file: Output) -> Write:
    def write(rows: Sequence[Row]) -> None:
        for row in rows:
            file.write(json_text(dict(row)) + "\n")

    return write


@contextmanager
def _parquet(path: Path, fields: "Sequence[pa.Field]") -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(fields)
    texts = [field.name for field in fields if pa.types.is_string(field.type)]

    def write(rows: Sequence[Row]) -> None:
        cells = [{**row, **{name: _valid_text(row.get(name)) for name in texts}} for row in rows]
        writer.write_table(pa.Table.from_pylist(cells, schema=schema))

    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        yield write


def _valid_text(value: Any) -> str | None:
    return None if value is None else valid_text(_text(value))


def _text(value: Any) -> str:
    """A value as a cell of a text table: empty for None and NaN, JSON for nested values."""
    if value is None or _is_nan(value):
        return ""
    if isinstance(value, bool | list | dict):
        return json_text(value)
    return str(value)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
