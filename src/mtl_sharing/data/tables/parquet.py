"""Reads Parquet files, and rows of any Arrow tables."""

import importlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from mtl_sharing.data.tables.files import LineCounts
from mtl_sharing.errors import UserError, first_line

_ROWS_AT_ONCE = 512  # converted to Python values at a time
ARROW_ERRORS = (ValueError, OSError, NotImplementedError, TypeError, LookupError, ArithmeticError)
"""The errors of pyarrow for damaged data, and for values that Python cannot hold."""


def open_parquet(path: Path) -> Any:
    """Opens a ``pyarrow.parquet.ParquetFile``; raises UserError for other files or no pyarrow."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        allowed = "Parquet needs pyarrow: pip install pyarrow"
        raise UserError(str(path), "no pyarrow", allowed) from None
    try:
        return parquet.ParquetFile(path)
    except ARROW_ERRORS as error:
        raise _broken(path, error) from None


def parquet_rows(path: Path, counts: LineCounts) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its number; raises UserError for a broken file."""
    try:
        batches = open_parquet(path).iter_batches(batch_size=_ROWS_AT_ONCE)
        yield from arrow_rows(batches, counts)
    except ARROW_ERRORS as error:
        raise _broken(path, error) from None


def arrow_rows(batches: Iterable[Any], counts: LineCounts) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of pyarrow tables or record batches, numbered from 1."""
    rows = chain.from_iterable(batch.to_pylist() for batch in batches)
    for number, row in enumerate(rows, start=1):
        counts.objects += 1
        yield number, row


def _broken(path: Path, error: Exception) -> UserError:
    return UserError(str(path), f"a broken file ({first_line(error)})", "a Parquet file")
