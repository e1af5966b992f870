"""Describes the cells of a column: what its values are, and how many different ones there are."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal
from unicodedata import normalize

from mtl_sharing.data.tables.cells import as_number, cell_text
from mtl_sharing.data.tables.tables import Record

Content = Literal["words", "whole numbers", "decimals", "dates"]
NUMBERS = ("whole numbers", "decimals")

_SAMPLE = 1000  # cells that are looked at for dates and lengths
_MOSTLY = 0.9
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( .*)?"
    r"|\d{1,2}:\d\d(:\d\d.*)?"
)
_WHOLE = re.compile(r"[-+]?\d+(\.0+)?")
# Scripts that put no space between words; two of their characters count as a word.
_WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,2}|\w+")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        rows: rows of the table.
        counts: how often each value occurs, without rows that have none.
        words: words of a value on average.
        is_rising: whether each number is larger than the one before, as of row numbers.
    """

    name: str
    rows: int
    counts: Counter[str]
    content: Content
    words: float
    is_rising: bool

    @property
    def filled(self) -> int:
        """Rows with a value."""
        return self.counts.total()

    @property
    def is_unique(self) -> bool:
        """Whether no value occurs twice."""
        return len(self.counts) == self.filled

    @property
    def is_number(self) -> bool:
        """Whether all values are numbers."""
        return self.content in NUMBERS

    def describe(self) -> str:
        """The column in a few words, for a message."""
        different = len(self.counts)
        if not different:
            return "nothing"
        if different == 1:
            return f"one value alone, {next(iter(self.counts))[:30]!r}"
        every = "all different" if self.is_unique else f"{different:,} different"
        return f"{self.content}, {every} in {self.filled:,} rows"


def describe_column(name: str, records: Iterable[Record]) -> Column:
    """The column of this name; cells that are neither text nor number have no value."""
    texts = [label_text(record.fields.get(name)) for record in records]
    values = [text for text in texts if text is not None]
    sample = values[:_SAMPLE]
    content = _content(values)
    is_rising = content in NUMBERS and all(a < b for a, b in pairwise(map(float, values)))
    words = sum(len(_WORD.findall(value)) for value in sample) / max(1, len(sample))
    return Column(name, len(texts), Counter(values), content, words, is_rising)


def _content(values: list[str]) -> Content:
    sample = values[:_SAMPLE]
    if sum(_DATE.fullmatch(value) is not None for value in sample) > _MOSTLY * len(sample):
        return "dates"
    if not all(as_number(value) is not None for value in values):
        return "words"
    whole = all(_WHOLE.fullmatch(value) for value in values)
    return "whole numbers" if whole else "decimals"


def label_text(value: Any) -> str | None:
    """A cell as the name of a class; 2.0 of Parquet is 2, and all Unicode forms are one."""
    text = cell_text(value)
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return text if text is None or text.isascii() else normalize("NFC", text)
