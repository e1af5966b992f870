"""Writes tables row by row as CSV, TSV, JSON lines or Parquet."""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, TextIO

from mtl_sharing.data.tables.tables import DELIMITERS, JSON_LINES, PARQUET
from mtl_sharing.errors import UserError
from mtl_sharing.utils.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

CSV, TSV, JSONL, PARQUET_NAME = "csv", "tsv", "jsonl", "parquet"
FORMATS = (CSV, TSV, JSONL, PARQUET_NAME)
_DELIMITERS = {CSV: ",", TSV: "\t"}

Row = Mapping[str, Any]
Write = Callable[[Sequence[Row]], None]


def format_of(path: Path) -> str:
    """The format of a file by its extension; CSV for an unknown one."""
    extension = path.suffix.lower()
    if extension == PARQUET:
        return PARQUET_NAME
    if extension in JSON_LINES:
        return JSONL
    return TSV if DELIMITERS.get(extension) == "\t" else CSV


@contextmanager
def table_writer(
    path: Path, kind: str, columns: Sequence[str], fields: "Sequence[pa.Field] | None" = None
) -> Iterator[Write]:
    """Opens a table for writing, which replaces ``path`` when the block ends without an error.

    Args:
        kind: one of :data:`FORMATS`.
        columns: in order; a row may lack some.
        fields: the columns' types, for Parquet.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(path) as temporary:
        if kind == PARQUET_NAME:
            with _parquet(temporary, fields or ()) as write:
                yield write
        else:
            # Half of a surrogate pair, which JSON can hold and UTF-8 cannot, stays escaped.
            with temporary.open(
                "w", encoding="utf-8", errors="backslashreplace", newline=""
            ) as file:
                yield _json(file) if kind == JSONL else _delimited(file, kind, columns)


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


def _delimited(file: TextIO, kind: str, columns: Sequence[str]) -> Write:
    writer = csv.writer(file, delimiter=_DELIMITERS[kind], lineterminator="\n")
    writer.writerow(columns)
    return lambda rows: writer.writerows(
        [as_text(row.get(name)) for name in columns] for row in rows
    )


def _json(file: TextIO) -> Write:
    def write(rows: Sequence[Row]) -> None:
        for row in rows:
            cells = {name: None if _is_nan(value) else value for name, value in row.items()}
            file.write(json.dumps(cells, ensure_ascii=False, default=str) + "\n")

    return write


@contextmanager
def _parquet(path: Path, fields: "Sequence[pa.Field]") -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(fields)
    texts = [field.name for field in fields if pa.types.is_string(field.type)]

    def write(rows: Sequence[Row]) -> None:
        cells = [{**row, **{name: _text_or_none(row.get(name)) for name in texts}} for row in rows]
        writer.write_table(pa.Table.from_pylist(cells, schema=schema))

    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        yield write


def _text_or_none(value: Any) -> str | None:
    return None if value is None else as_text(value).encode("utf-8", "replace").decode("utf-8")


def as_text(value: Any) -> str:
    """A value as a cell of a text table: empty for None and NaN, JSON for nested values."""
    if value is None or _is_nan(value):
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
