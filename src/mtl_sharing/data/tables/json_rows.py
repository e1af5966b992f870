"""Reads JSON lines, and files that are one JSON array of objects."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from mtl_sharing.data.tables.cells import valid_text
from mtl_sharing.data.tables.files import LineCounts, open_text
from mtl_sharing.errors import UserError
from mtl_sharing.utils.files import kind_of

Row = dict[str, Any]

ROWS = "one JSON object a line, or one array of objects"
"""The allowed forms of a file."""
_SPACE = re.compile(r"[ \t\r\n]*")


class _Repeated(dict[str, Any]):
    """An object with a key twice; the last value counts, as to Python."""

    key = ""


def _row(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    repeated, names = _Repeated(row), [name for name, _ in pairs]
    repeated.key = next(name for name in row if names.count(name) > 1)
    return repeated


_DECODER = json.JSONDecoder(object_pairs_hook=_row)


def json_rows(path: Path, counts: LineCounts) -> Iterator[tuple[int, Row, str | None]]:
    """Each object with the line on which it starts, and why it is unreliable, or None.

    JSON lines are read one at a time. An array's text is held in memory.

    Raises:
        UserError: with ``file:line``, for text that is not UTF-8 and bad JSON.
    """
    is_first = True
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            text = line.strip()
            if is_first and text.startswith("["):
                yield from _array_rows(path, number, line + file.read(), counts)
                return
            counts.lines += 1
            if text:
                value, end = _decoded(path, number, text, 0, file if is_first else None)
                is_first = False
                if end < len(text):
                    raise _bad_json(path, number, f"text after it: {text[end : end + 20]!r}")
                yield number, *_object(path, number, value)
            else:
                counts.blank += 1


def list_field(path: Path) -> str | None:
    """The dotted field of a file's only object that is a list of rows; None without one."""
    rows = list(islice(json_rows(path, LineCounts()), 2))
    return _list_field(rows[0][1], "") if len(rows) == 1 else None


def _list_field(value: Any, key: str) -> str | None:
    if isinstance(value, dict):
        fields = (_list_field(item, f"{key}.{name}".lstrip(".")) for name, item in value.items())
        return next((field for field in fields if field is not None), None)
    is_rows = isinstance(value, list) and any(isinstance(item, list | dict) for item in value)
    return key if is_rows else None


def nested(field: str | None) -> str:
    """The message on an object whose field is a list of rows."""
    return "" if field is None else f", whose field {field!r} is a list"


def _array_rows(
    path: Path, line: int, text: str, counts: LineCounts
) -> Iterator[tuple[int, Row, str | None]]:
    """The objects of an array that starts in the given line."""
    start, seen = _skip(text, text.index("[") + 1), 0
    while text[start : start + 1] != "]":
        line, seen = line + text.count("\n", seen, start), start
        value, end = _decoded(path, line, text, start)
        counts.objects += 1
        yield line, *_object(path, line, value)
        start = _skip(text, end)
        if text[start : start + 1] == ",":
            start = _skip(text, start + 1)
        elif text[start : start + 1] != "]":
            line += text.count("\n", seen, start)
            raise _bad_json(path, line, f"{text[start : start + 20]!r} where , or ] belongs")
    end = _skip(text, start + 1)
    if end < len(text):
        line += text.count("\n", seen, end)
        raise _bad_json(path, line, f"text after the array: {text[end : end + 20]!r}")


def _skip(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    assert match is not None  # it may be empty
    return match.end()


def _decoded(
    path: Path, line: int, text: str, start: int, more: TextIO | None = None
) -> tuple[Any, int]:
    """The value that starts there, and where it ends.

    Args:
        more: the rest of the file, which tells an object over several lines from bad JSON.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        if more is not None:
            _check_one_line(path, line, f"{text}\n{more.read()}")
        line += text.count("\n", start, error.pos)
        raise _bad_json(path, line, f"{error.msg}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise _bad_json(path, line, str(error)) from None


def _check_one_line(path: Path, line: int, text: str) -> None:
    with suppress(ValueError, RecursionError):
        value, _ = _DECODER.raw_decode(text)
        found = f"one object over several lines{nested(_list_field(value, ''))}"
        raise UserError(f"{path}:{line}", found, ROWS)


def _bad_json(path: Path, line: int, reason: str) -> UserError:
    return UserError(f"{path}:{line}", f"bad JSON ({reason})", ROWS)


def _object(path: Path, line: int, value: Any) -> tuple[Row, str | None]:
    """The row, and why it is unreliable, or None."""
    if not isinstance(value, dict):
        found = f"JSON that is {kind_of(value)}"
        raise UserError(f"{path}:{line}", found, ROWS)
    problem = f"the key {valid_text(value.key)!r} twice" if isinstance(value, _Repeated) else None
    if all(map(str.isascii, value)):
        return value, problem
    return {valid_text(name): cell for name, cell in value.items()}, problem
