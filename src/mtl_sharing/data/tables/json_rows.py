"""Reads JSON lines, and files that are one JSON array of objects."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mtl_sharing.data.tables.cells import valid_text
from mtl_sharing.data.tables.files import LineCounts, open_text
from mtl_sharing.errors import UserError
from mtl_sharing.utils.files import kind_of

Row = dict[str, Any]

_ALLOWED = "one JSON object a line, or one array of objects"
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def json_rows(path: Path, counts: LineCounts) -> Iterator[tuple[int, Row]]:
    """Each object with the line on which it starts.

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
                is_first = False
                value, end = _decoded(path, number, text, 0)
                if end < len(text):
                    raise _bad_json(path, number, f"text after it: {text[end : end + 20]!r}")
                yield number, _object(path, number, value)
            else:
                counts.blank += 1


def _array_rows(path: Path, line: int, text: str, counts: LineCounts) -> Iterator[tuple[int, Row]]:
    """The objects of an array that starts in the given line."""
    start, seen = _skip(text, text.index("[") + 1), 0
    while text[start : start + 1] != "]":
        line, seen = line + text.count("\n", seen, start), start
        value, end = _decoded(path, line, text, start)
        counts.objects += 1
        yield line, _object(path, line, value)
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


def _decoded(path: Path, line: int, text: str, start: int) -> tuple[Any, int]:
    """The value that starts there, and where it ends."""
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        line += text.count("\n", start, error.pos)
        raise _bad_json(path, line, f"{error.msg}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise _bad_json(path, line, str(error)) from None


def _bad_json(path: Path, line: int, reason: str) -> UserError:
    return UserError(f"{path}:{line}", f"bad JSON ({reason})", _ALLOWED)


def _object(path: Path, line: int, value: Any) -> Row:
    if not isinstance(value, dict):
        found = f"JSON that is {kind_of(value)}"
        raise UserError(f"{path}:{line}", found, _ALLOWED)
    if all(map(str.isascii, value)):
        return value
    return {valid_text(name): cell for name, cell in value.items()}
