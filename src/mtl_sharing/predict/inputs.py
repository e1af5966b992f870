"""The table to predict: its columns, their types, and its rows in chunks."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.data.tables.tables import (
    FORMATS,
    PARQUET,
    Record,
    TableFile,
    open_parquet,
)
from mtl_sharing.errors import UserError, did_you_mean, one_of
from mtl_sharing.predict.writers import JSONL, format_of

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

CHUNK = 4096
"""Rows in memory at a time; the rows of one chunk are batched by length."""


@dataclass(frozen=True)
class InputTable:
    """A table file, which can be read several times.

    Attributes:
        delimiter: separates the fields of a text table; None is that of the file's extension.
        columns: the names of its columns.
    """

    path: Path
    delimiter: str | None
    columns: tuple[str, ...]

    def records(self) -> Iterator[Record]:
        """The rows, with values unchanged."""
        return TableFile(self.path, self.delimiter, raw=True).records()

    def chunks(self, rows: int = CHUNK) -> Iterator[list[Record]]:
        """The rows, at most ``rows`` at a time."""
        records = self.records()
        while chunk := list(islice(records, rows)):
            yield chunk

    def check_column(self, option: str, name: str) -> None:
        """Raises UserError, which lists the columns, unless the table has this one."""
        if name not in self.columns:
            allowed = one_of(self.columns) + did_you_mean(name, self.columns)
            raise UserError(str(self.path), f"no column {name!r} ({option})", allowed)

    def fields(self, names: Sequence[str]) -> "list[pa.Field]":
        """The Arrow fields of these columns: a Parquet file's own, or inferred from JSON lines.

        A column of JSON lines with nested values, or values of several types, becomes text.
        """
        import pyarrow as pa

        if self.path.suffix.lower() == PARQUET:
            schema = open_parquet(self.path).schema_arrow
            return [schema.field(name) for name in names]
        if format_of(self.path) != JSONL or self.delimiter is not None:
            return [pa.field(name, pa.string()) for name in names]
        kinds: dict[str, set[str]] = {name: set() for name in names}
        for record in self.records():
            for name in names:
                kinds[name].add(_kind(record.fields.get(name)))
        return [pa.field(name, _arrow_type(names - {""})) for name, names in kinds.items()]


def open_input(path: Path, delimiter: str | None) -> InputTable:
    """Opens a table file and reads its header.

    Raises:
        UserError: the file is missing, broken, without rows, or of an unknown format.
    """
    if delimiter is None and path.is_file() and path.suffix.lower() not in FORMATS:
        allowed = f"a file that ends in {one_of(FORMATS)}, or its --delimiter"
        raise UserError(str(path), f"the extension {path.suffix!r}", allowed)
    names = TableFile(path, delimiter, raw=True).columns()
    table = InputTable(path, delimiter, tuple(filter(None, names)))
    if next(table.records(), None) is None:
        raise UserError(str(path), "no row", "a table with a row or more")
    if "" in names:
        log.info("ignored columns without a name: %d", names.count(""))
    return table


def _kind(value: Any) -> str:
    """The name of a value's Arrow type; empty for a missing value."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return "int64" if -(2**63) <= value < 2**63 else "other"
    return {bool: "bool_", float: "float64", str: "string"}.get(type(value), "other")


def _arrow_type(kinds: set[str]) -> "pa.DataType":
    import pyarrow as pa

    if kinds == {"int64", "float64"}:
        return pa.float64()
    (name,) = kinds if len(kinds) == 1 and "other" not in kinds else {"string"}
    kind: pa.DataType = getattr(pa, name)()
    return kind
