"""Decides whether the quotation marks of a text table quote its fields or are part of its text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mtl_sharing.data.tables.escapes import first_escaped

LONG_FIELD = 10
"""A quoted field over more lines than this is warned of."""
ADVICE = "format.quoting=false (mtl-predict: --no-quoting)"
SAMPLE = 2**24
"""Bytes at the start of a file that are weighed."""
_LINE_END = re.compile("\r\n|\r|\n")
_MOST_ODD_FIELDS = 1000
_LONGEST_LINE = 2**17  # bytes around a field that are searched for the ends of its line


@dataclass(frozen=True)
class QuoteStyle:
    """The use of quotes in the first 16 MiB of a file.

    Attributes:
        is_text: whether quotes are part of the text.
        line: the first line that shows it, from 1; where quotes quote, the first line of a field
            in doubt. 0 without such a line.
        is_escaped: whether ``\\"`` is a quote inside a quoted field.
        holds_rows: whether the field in doubt seems to hold other rows; if not, text follows its
            closing quote.
    """

    is_text: bool
    line: int = 0
    is_escaped: bool = False
    holds_rows: bool = False


def quote_style(text: bytes, delimiter: str) -> QuoteStyle:
    """Weighs the fields that begin with a quote: those that close properly against the others.

    A field speaks for text if something other than a delimiter follows its closing quote, if it
    never closes, or if it runs over lines that are complete rows by themselves. It weighs as many
    rows as would be lost, at most 10. A field that closes properly speaks for quoting.

    Args:
        text: the first ``SAMPLE`` bytes of the file.
    """
    if b'"' not in text:
        return QuoteStyle(False)
    is_cut = len(text) >= SAMPLE - 3  # a BOM is taken off
    text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    separator, balance, odd_fields = delimiter.encode(), 0, 0
    if (escaped := first_escaped(text, separator)) is not None:
        return QuoteStyle(False, text.count(b"\n", 0, escaped) + 1, is_escaped=True)
    starts: dict[bool, int] = {}  # of the first field that shows what the key says
    odd = len(text)  # start of the first field in quotes with text behind them
    width = text.partition(b"\n")[0].count(separator)
    for match in _fields_in_quotes(text, separator):
        closes = _closes(match, separator)
        if closes and text.find(b"\n", *match.span()) < 0:
            # A file that begins with a field in quotes most likely has its header in quotes.
            balance -= 1 if match.start() else LONG_FIELD
            continue
        if odd_fields == _MOST_ODD_FIELDS or (match.end() == len(text) and is_cut):
            break
        weight = _weight(match, separator, width, closes)
        odd_fields, balance = odd_fields + 1, balance + weight
        if weight > 0:
            starts.setdefault(True, match.start())
        if b"\n" in match[0] and (weight > 0 or not closes):
            starts.setdefault(False, match.start())
        elif not closes and match[1]:
            odd = min(odd, match.start())
    is_text, start = balance > 0, starts.get(balance > 0)
    with_rows = not is_text and start is not None
    start = odd if start is None and odd < len(text) else start
    line = 0 if start is None else text.count(b"\n", 0, start) + 1
    return QuoteStyle(is_text, line, holds_rows=with_rows)


def _fields_in_quotes(text: bytes, separator: bytes) -> Iterator[re.Match[bytes]]:
    """The fields that begin with a quote, up to the next quote that is not doubled."""
    # A literal first makes the search fast. Possessive quantifiers keep it linear.
    starts = rb'"(?:(?<=\A")|(?<=\n")|(?<=' + re.escape(separator) + rb'"))'
    return re.finditer(starts + rb'[^"]*+(?:""[^"]*+)*+("?)', text)


def _closes(match: re.Match[bytes], separator: bytes) -> bool:
    """Whether a quote closes the field, with a delimiter or the line's end behind it."""
    text, end = match.string, match.end()
    return bool(match[1]) and (end == len(text) or text.startswith((separator, b"\n"), end))


def _weight(match: re.Match[bytes], separator: bytes, width: int, closes: bool) -> int:
    """The weight for quotes as text of a field that is odd or over several lines."""
    text, (start, end) = match.string, match.span()
    reach = max(0, start - _LONGEST_LINE)
    line_start = max(text.rfind(b"\n", reach, start) + 1, reach)
    lines = text[line_start : _line_end(text, end)].split(b"\n")
    rows = sum(line.count(separator) == width for line in lines)
    if closes:
        # A comma is common in text, a tab is not.
        least = 2 if separator == b"\t" else 3
        are_rows = width and rows == len(lines) >= least
        return min(rows, LONG_FIELD) if are_rows else -1
    if match[1] and len(lines) == 1 and _rest_of_field(text, end, separator).endswith(b'"'):
        return 0  # quotes inside a quoted field that are not doubled
    return min(rows, LONG_FIELD) if 2 * rows > len(lines) else 0


def _line_end(text: bytes, start: int) -> int:
    end = text.find(b"\n", start, start + _LONGEST_LINE)
    return min(len(text), start + _LONGEST_LINE) if end < 0 else end


def _rest_of_field(text: bytes, start: int, separator: bytes) -> bytes:
    return text[start : _line_end(text, start)].partition(separator)[0]


def holds_rows(row: Sequence[str], delimiter: str, width: int) -> bool:
    """Whether a quoted field over several lines of a row seems to hold other rows of the table.

    Args:
        width: fields of the table's first row.
    """
    return any(_holds_rows(row, number, delimiter, width) for number in range(len(row)))


def _holds_rows(row: Sequence[str], number: int, delimiter: str, width: int) -> bool:
    lines = _LINE_END.split(row[number])
    if len(lines) == 1:
        return False
    if delimiter == "\t":
        return "\t" in row[number]
    counts = [line.count(delimiter) for line in lines]
    if len(lines) == 2:  # complete rows with the other fields of the row
        counts = [counts[0] + number, counts[1] + len(row) - 1 - number]
    else:
        counts = counts[1:-1]
    return width > 1 and all(count == width - 1 for count in counts)
