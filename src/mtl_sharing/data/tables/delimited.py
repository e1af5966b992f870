"""Reads delimited text: rows with the line on which they start, and where their lines went."""

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Literal

from mtl_sharing.data.tables.escapes import other_backslashes_doubled
from mtl_sharing.data.tables.files import LineCounts, open_text, read_start
from mtl_sharing.data.tables.quotes import (
    ADVICE,
    LONG_FIELD,
    SAMPLE,
    QuoteStyle,
    holds_rows,
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
        long = _LongFields(
            self.path, self.delimiter, self._style.line if self._style.holds_rows else 0
        )
        with open_text(self.path, newline="") as lines:
            escape = "\\" if self._style.is_escaped else None
            texts = other_backslashes_doubled(lines, self.delimiter) if escape else lines
            reader = csv.reader(
                chain(texts, end_row), delimiter=self.delimiter, quoting=quoting, escapechar=escape
            )
            try:
                for row in reader:
                    end = reader.line_num
                    if end == start and row == end_row:
                        long.warn_of_others()
                        return
                    if end > start:
                        self._check_closed(row, start, end)
                        long.add(row, start, end, width)
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
        elif style.is_escaped:
            message = 'a backslash stands before a quote inside a quoted field; \\" is read as a'
            message += " quote in all of this file; where backslashes and quotes are text, set"
        elif style.holds_rows:
            message = "a quoted field seems to hold other rows; where quotes are text, set"
        else:
            message = 'text follows the closing quote of a field; a quote inside is written as "";'
            message += " where quotes are text, set"
        if style.line:
            log.warning("%s:%d: %s %s", self.path, style.line, message, ADVICE)
        return style

    def _check_closed(self, row: list[str], start: int, end: int) -> None:
        if row[-1].endswith(_END):
            found = f"a quote in this row that is never closed, up to the end in line {end - 1}"
            allowed = f"a closing quote; where quotes are text, {ADVICE}"
            raise UserError(f"{self.path}:{start}", found, allowed)


@dataclass
class _LongFields:
    """Warns of quoted fields that are long or seem to hold other rows: the first, and how many.

    Args:
        first: the line of one that was warned of before; 0 without one.
    """

    path: Path
    delimiter: str
    first: int
    others: int = 0
    last: int = 0

    def add(self, row: list[str], start: int, end: int, width: int) -> None:
        """Counts the row if a field is in doubt, and warns if it is the first."""
        is_long = end - start >= LONG_FIELD
        if not is_long and not holds_rows(row, self.delimiter, width):
            return
        if not self.first:
            self.first = start
            log.warning(
                "%s:%d: a quoted field runs over %d lines; where quotes are text, set %s",
                self.path, start, end - start + 1, ADVICE,
            )  # fmt: skip
        elif not start <= self.first <= end:
            self.others, self.last = self.others + 1, start

    def warn_of_others(self) -> None:
        """Warns of all but the first."""
        if self.others:
            fields = "quoted field" if self.others == 1 else "quoted fields"
            log.warning(
                "%s: and %d more %s over several lines, the last at line %d",
                self.path, self.others, fields, self.last,
            )  # fmt: skip
