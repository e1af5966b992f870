"""Writes some rows of a table as a file of the same kind, with the same columns."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from mtl_sharing.data.tables.cells import valid_text
from mtl_sharing.data.tables.files import extension
from mtl_sharing.data.tables.tables import PARQUET, Record
from mtl_sharing.init.tables import DataTable


def row_file_suffix(table: DataTable) -> str:
    """The extension of a file with rows of the table."""
    kind = extension(table.path)
    return kind if table.is_delimited or kind == PARQUET else ".jsonl"


def write_rows(table: DataTable, records: Sequence[Record], path: Path) -> None:
    """Writes these records of a table: delimited text, JSON lines or Parquet, as the table is."""
    if table.is_delimited:
        _write_delimited(table, records, path)
    elif extension(table.path) == PARQUET:
        _write_parquet(table, records, path)
    else:
        lines = (json.dumps(record.fields, ensure_ascii=False) for record in records)
        path.write_text("".join(f"{valid_text(line)}\n" for line in lines), encoding="utf-8")


def _write_delimited(table: DataTable, records: Sequence[Record], path: Path) -> None:
    rows = [[record.fields.get(name) or "" for name in table.columns] for record in records]
    with path.open("w", encoding="utf-8", newline="") as file:
        delimiter, end = table.delimiter, "\n"
        plain = csv.writer(file, delimiter=delimiter, lineterminator=end)
        quoted = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
        for row in ([list(table.columns)] if table.format.header else []) + rows:
            # A carriage return ends a line for readers, but needs no quotes for this writer.
            (quoted if any("\r" in cell for cell in row) else plain).writerow(row)


def _write_parquet(table: DataTable, records: Sequence[Record], path: Path) -> None:
    from pyarrow import parquet

    rows = parquet.read_table(table.path).take([record.line - 1 for record in records])
    parquet.write_table(rows, path)
