"""Reads tables of rows with named columns: CSV, TSV, JSON and Parquet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from mtl_sharing.data.tables.delimited import DelimitedFile
from mtl_sharing.data.tables.files import GZIP, LineCounts, extension
from mtl_sharing.data.tables.json_rows import ROWS, json_rows, list_field, nested
from mtl_sharing.data.tables.parquet import open_parquet, parquet_rows
from mtl_sharing.errors import UserError, did_you_mean, one_of
from mtl_sharing.utils.files import open_regular

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
JSON = (".jsonl", ".ndjson", ".json")
PARQUET = ".parquet"
DELIMITED = "delimited"
FORMATS = (*DELIMITERS, *JSON, PARQUET)
PACKED = f"each but {PARQUET} also with {GZIP}"
MOST_NAMES_LISTED = 20


class Record(NamedTuple):
    """One row of a table.

    Args:
        line: line of the file where the row starts, from 1 (Parquet and hub: the row's number).
        fields: the values by column name, as the file has them; ``None`` where the row is too
            short.
        problem: why the row is unreliable, or ``None``. A row with more fields than the header
            has lost or gained a delimiter, so its columns are shifted in ``fields``. A JSON object
            can have a key twice.
    """

    line: int
    fields: dict[str, Any]
    problem: str | None = None


@dataclass(frozen=True)
class TableFile:
    """A table file.

    Args:
        path: a .csv, .tsv, .txt, .jsonl, .ndjson, .json or .parquet file, UTF-8 with or without a
            BOM; all but Parquet also in gzip. Any other extension is read as delimited text when
            ``delimiter`` is given. A JSON file has an object a line, or is one array of objects.
        delimiter: one character that replaces the extension's own (text tables only).
        quoting: whether ``"`` quotes a field, unless the file shows that its quotes are text; if
            not, quotes are text.
        header: whether the first line names the columns; if not, they are "0", "1", ...
    """

    path: Path
    delimiter: str | None = None
    quoting: bool = True
    header: bool = True

    def columns(self) -> tuple[str, ...]:
        """Column names in order.

        A text column without a name is called "" here and left out of the records. For JSON, the
        keys of all objects count: the first may lack some. Raises as ``records``.
        """
        kind = self.kind
        if kind == PARQUET:
            return _unique(self.path, open_parquet(self.path).schema_arrow.names)
        if kind in JSON:
            rows = json_rows(self.path, LineCounts())
            return tuple(dict.fromkeys(name for _, row, _ in rows for name in row))
        _, first = next(self._text.rows(LineCounts()), (1, []))
        if not self.header:
            return tuple(map(str, range(len(first))))
        return _unique(self.path, [name.strip() for name in first])

    def records(self, counts: LineCounts | None = None) -> Iterator[Record]:
        """Rows in order, read lazily; a blank line gives none.

        Args:
            counts: counts what the lines become, up to the last record that was taken.

        Raises:
            UserError: at once for a missing file, an unknown format or two columns of one name;
                while reading, with ``file:line``, for text that is not UTF-8, a quote that never
                closes and bad JSON.
        """
        counts = LineCounts() if counts is None else counts
        kind = self.kind
        if kind in JSON:
            return (Record(*row) for row in json_rows(self.path, counts))
        columns = self.columns()
        if kind == PARQUET:
            return (Record(*row) for row in parquet_rows(self.path, counts))
        return self._text_records(columns, counts)

    def nested_rows(self) -> tuple[str, str] | None:
        """The found and the allowed where a file is one JSON object around a list of rows."""
        field = list_field(self.path) if self.kind in JSON else None
        return None if field is None else (f"one object{nested(field)}", ROWS)

    @cached_property
    def kind(self) -> str:
        """The extension, or :data:`DELIMITED` for text with a delimiter.

        Raises:
            UserError: a missing file or an unknown format.
        """
        try:
            open_regular(self.path, follow=True).close()  # a pipe cannot be read twice
        except FileNotFoundError:
            raise _no_file(self.path) from None
        except UserError as error:
            raise UserError(str(self.path), error.found, "a file") from None
        kind = extension(self.path)
        if kind == PARQUET and self.path.suffix.lower() == GZIP:
            raise UserError(str(self.path), "Parquet in gzip", "an unpacked file (gunzip)")
        if kind in JSON or kind == PARQUET:
            return kind
        if self.delimiter is None and kind not in DELIMITERS:
            allowed = f"a file that ends in {one_of(FORMATS)} ({PACKED}), or a format.delimiter"
            found = f"the extension {self.path.suffix!r}"
            raise UserError(str(self.path), found, f"{allowed} for this task")
        return DELIMITED

    @cached_property
    def _text(self) -> DelimitedFile:
        delimiter = self.delimiter or DELIMITERS[extension(self.path)]
        return DelimitedFile(self.path, delimiter, self.quoting)

    def _text_records(self, columns: tuple[str, ...], counts: LineCounts) -> Iterator[Record]:
        rows, width = self._text.rows(counts), len(columns)
        counts.header += len(list(islice(rows, int(self.header))))
        named = [(place, name) for place, name in enumerate(columns) if name]
        for line, row in rows:
            cells: Sequence[str | None] = row
            problem = None
            if len(row) != width:
                cells, problem = [*row, *[None] * (width - len(row))], self._problem(row, width)
            yield Record(line, {name: cells[place] for place, name in named}, problem)

    def _problem(self, row: list[str], width: int) -> str | None:
        # Empty surplus fields at the end of a row shift no column.
        if not any(value.strip() for value in row[width:]):
            return None
        first = "the header" if self.header else "the first row"
        problem = f"{len(row)} fields where {first} has {width}"
        is_escaped = self.quoting and any(cell.endswith("\\") for cell in row[:-1])
        return f'{problem}, and a \\" that ends a field' if is_escaped else problem


def _no_file(path: Path) -> UserError:
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
