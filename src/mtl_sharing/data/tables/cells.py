"""Converts a table's cells to texts, the same for training and prediction."""

import math
import re
from decimal import Decimal
from typing import Any

from mtl_sharing.utils.files import kind_of

MISSING = ("", "nan", "NaN")
"""Texts that count as no text."""
_SURROGATES = re.compile("[\ud800-\udfff]")


def cell_text(value: Any) -> str | None:
    """A cell as stripped text; None for a missing cell and for one that is neither text nor number.

    A boolean is 1 or 0. Half of a surrogate pair, which JSON can hold, becomes U+FFFD.
    """
    if type(value) is str:
        text = value.strip()
    elif isinstance(value, bool):
        return str(int(value))
    elif isinstance(value, str | int | float | Decimal):
        text = str(float(value) if isinstance(value, Decimal) else value).strip()
    else:
        return None
    if text in MISSING:
        return None
    return text if text.isascii() else valid_text(text)


def valid_text(text: str) -> str:
    """The text with U+FFFD in place of each half of a surrogate pair."""
    return _SURROGATES.sub("\ufffd", text)


def as_number(text: str) -> float | None:
    """The finite number that ``text`` is; ``1_0``, which Python reads as 10, is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def why_no_text(value: Any, column: str) -> str:
    """The reason why a cell has no text, for a message."""
    if isinstance(value, str) and value.strip():
        return f"{value.strip()!r} in column {column!r}, which counts as missing"
    if value is None or isinstance(value, str | float | Decimal):
        return f"nothing in column {column!r}"
    return f"{kind_of(value)} in column {column!r}, where one text or number belongs"


def spellings(value: Any) -> tuple[str, ...]:
    """The texts by which a list of label names may mean this cell, the most likely first.

    A boolean is meant by true, True, TRUE or 1, a whole number that is stored as 2.0 also by 2.
    """
    if isinstance(value, bool):
        word = str(value)
        return word, word.lower(), word.upper(), str(int(value))
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(float(value)), str(int(value))
    text = cell_text(value)
    if text is None and isinstance(value, str) and value.strip():
        return (value.strip(),)  # "nan" can be a name
    return () if text is None else (text,)
