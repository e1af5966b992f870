"""Reads delimited text: rows with the line on which they start, and where their lines went."""

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Literal

from mtl_sharing.data.tables.files import LineCounts, open_text, read_start
from mtl_sharing.data.tables.quotes import (
    ADVICE,
    LONG_FIELD,
    SAMPLE,
    QuoteStyle,
    is_swallowed,
    quote_style,
)
from mtl_sharing.errors import UserError

log = logging.getLogger(__name__)

LARGEST_FIELD = 2**31 - 1  # the largest limit that the csv module takes on every platform
# A last line of our own, which an open quote would take in. No UTF-8 text holds half a surrogate.
_END = "\udcff"


@dataclass(frozen=True)
class DelimitedFile:
    """A file of delimited text.

    Args:
        quoting: whether ``"`` quotes a field, unless the file shows that its quotes are text.
    """

    path: Path
    delimiter: str
    quoting: bool

    def rows(self, counts: LineCounts) -> Iterator[tuple[int, list[str]]]:
        """Each row that is not blank, with the line on which it starts.

        Raises:
            UserError: text that is not UTF-8, a quote that is never closed, broken gzip data.
        """
        csv.field_size_limit(LARGEST_FIELD)
        quoting: Literal[0, 3] = csv.QUOTE_NONE if self._style.is_text else csv.QUOTE_MINIMAL
        start, before, width, end_row = 1, counts.lines, 0, [_END]
        is_told = self._style.line > 0
        with open_text(self.path, newline="") as lines:
            reader = csv.reader(chain(lines, end_row), delimiter=self.delimiter, quoting=quoting)
            try:
                for row in reader:
                    end = reader.line_num
                    if end == start and row == end_row:
                        return
                    if end > start:
                        self._check_closed(row, start, end)
                        is_told = is_told or self._tell_long(row, start, end, width)
                        counts.quoted += end - start
                    counts.lines = before + end
                    if row:
                        width = width or len(row)
                        yield start, row
                    else:
                        counts.blank += 1
                    start = end + 1
            except csv.Error as error:
                where = f"{self.path}:{start}"
                raise UserError(where, str(error), "a row of delimited text") from None

    @cached_property
    def _style(self) -> QuoteStyle:
        """How quotes are read; warns once of a file that is in doubt."""
        if not self.quoting:
            return QuoteStyle(True)
        style = quote_style(read_start(self.path, SAMPLE), self.delimiter)
        if style.is_text:
            message = "a quote begins a field and does not enclose it; the quotes of this file are"
            message += " read as text, as by"
        else:
            message = "a quoted field seems to hold other rows; where quotes are text, set"
        if style.line:
            log.warning("%s:%d: %s %s", self.path, style.line, message, ADVICE)
        return style

    def _check_closed(self, row: list[str], start: int, end: int) -> None:
        if row[-1].endswith(_END):
            found = f"a quote in this row that is never closed, up to the end in line {end - 1}"
            allowed = f"a closing quote; where quotes are text, {ADVICE}"
            raise UserError(f"{self.path}:{start}", found, allowed)

    def _tell_long(self, row: list[str], start: int, end: int, width: int) -> bool:
        """Warns of a quoted field that is long or seems to hold other rows; whether it did."""
        is_long = end - start >= LONG_FIELD
        if is_long or any(is_swallowed(field, self.delimiter, width) for field in row):
            log.warning(
                "%s:%d: a quoted field runs over %d lines; where quotes are text, set %s",
                self.path, start, end - start + 1, ADVICE,
            )  # fmt: skip
            return True
        return False
