r"""Recognises and reads text tables whose quotes are escaped by backslashes, as ``"a \"b\" c"``.

MySQL, Spark, and Python's csv with ``doublequote=False`` write them.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

_MOST_FIELDS = 200
_LONGEST_FIELD = 2**14  # bytes that are searched for a field's end


def first_escaped(text: bytes, separator: bytes) -> int | None:
    r"""The start of the first quoted field with a ``\"`` that is no closing quote; None for none.

    A field speaks for it if it closes properly only when ``\"`` is a quote inside, or closes in one
    line both ways. A field such as ``"C:\"``, which ends in a backslash, speaks against it.
    """
    first, balance = None, 0
    behind = rb"(?=" + re.escape(separator) + rb"|\n|\Z)"
    start = rb"(?:(?<=\A)|(?<=\n)|(?<=" + re.escape(separator) + rb'))"'
    # Up to the first backslash before a quote.
    candidate = re.compile(start + rb'(?=[^"\\]*+(?:""[^"\\]*+|\\[^"][^"\\]*+)*+\\")')
    plain = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"' + behind)
    escaped = re.compile(rb'"[^"\\]*+(?:(?:""|\\.)[^"\\]*+)*+"' + behind, re.DOTALL)
    fields = candidate.finditer(text) if b'\\"' in text else iter(())
    for found in islice(fields, _MOST_FIELDS):
        reach = found.start() + _LONGEST_FIELD
        as_plain = plain.match(text, found.start(), reach)
        as_escaped = escaped.match(text, found.start(), reach)
        if as_escaped and (as_plain is None or b"\n" not in as_escaped[0]):
            balance += 1
            first = found.start() if first is None else first
        elif as_plain and as_plain[0].endswith(b'\\"'):
            balance -= 1
    return first if balance > 0 else None


def other_backslashes_doubled(lines: Iterable[str], delimiter: str) -> Iterator[str]:
    """Lines for a reader with a backslash as escape: those that escape nothing stay in the text."""
    pattern = re.compile(rf'\\(["\\\r\n{re.escape(delimiter)}])?')
    for line in lines:
        has_any = "\\" in line
        yield pattern.sub(lambda m: m[0] if m[1] else "\\\\", line) if has_any else line
