"""Guesses which columns of a table are its texts and its label, and of which kind the label is."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mtl_sharing.data.tables.cells import as_number
from mtl_sharing.errors import UserError, did_you_mean, one_of
from mtl_sharing.init import hints
from mtl_sharing.init.columns import Column

MOST_CLASSES = 200
_MOST_NUMBERED = 20  # different whole numbers that are still classes
_LEAST_WORDS = 2.0  # of a text, on average
_LEAST_DIFFERENT = 0.05  # share of a text column's rows with different texts
_LABEL_WORDS = 6  # most words of a class's name, on average
_LEAST_FILLED = 0.2
_MOST_OF_ROWS = 0.9
_SHOWN = 8


@dataclass(frozen=True)
class Wanted:
    """Columns that the user names; None leaves a choice to the guess."""

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Labels:
    """Kind and labels of a task, as the fields of ``TaskConfig`` of these names."""

    kind: str
    classes: int | None = None
    labels: tuple[str, ...] | None = None
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Guess:
    """The columns of a table that make a task.

    Attributes:
        other_texts, other_labels: columns that could be the text or the label as well.
    """

    text: str
    text_pair: str | None
    label: str
    id: str | None
    other_texts: tuple[str, ...] = ()
    other_labels: tuple[str, ...] = ()


def guess_columns(where: str, columns: Sequence[Column], wanted: Wanted) -> Guess:
    """Chooses text, second text, label and id among the columns of a table.

    Args:
        where: the table's name, for errors.
        wanted: columns to take; one that the table lacks leaves the choice to the guess.

    Raises:
        UserError: no column can be the text, or none the label.
    """
    named = {column.name: column for column in columns}
    if len(columns) < 2:
        found = f"one column, {next(iter(named))!r}" if named else "no column with a name"
        raise UserError(where, found, "two or more: a text and its label")
    texts = _ranked_texts([column for column in columns if column.name != wanted.label])
    text = named.get(wanted.text or "", next(iter(texts), None))
    if text is None:
        raise _none_of(where, columns, "text, several words in each row", "--text")
    pair = named.get(wanted.text_pair or "")
    if pair is None and wanted.text not in named:
        text, pair = _with_pair(text, [column for column in columns if column in texts])
    left = [column for column in columns if column not in (text, pair)]
    labels = _ranked_labels(left)
    label = named.get(wanted.label or "", next(iter(labels), None))
    if label not in left or not _is_possible(label):
        refused = left if label is None else [label]
        raise _none_of(where, refused, "label, a few values that repeat or scores", "--label")
    return Guess(
        text=text.name,
        text_pair=None if pair is None else pair.name,
        label=label.name,
        id=next((column.name for column in left if _is_id(column) and column is not label), None),
        other_texts=tuple(column.name for column in texts if column not in (text, pair, label)),
        other_labels=tuple(column.name for column in labels if column is not label),
    )


def check_wanted(wanted: Wanted, tables: Iterable[Iterable[str]]) -> None:
    """Raises UserError for a wanted column that none of the tables has."""
    names = list(dict.fromkeys(name for columns in tables for name in columns))
    for role, name in vars(wanted).items():
        if name is not None and name not in names:
            option = f"--{role.replace('_', '-')}"
            allowed = f"a column of a file: {one_of(names)}{did_you_mean(name, names)}"
            raise UserError(option, repr(name), allowed)


def _none_of(where: str, columns: Sequence[Column], role: str, option: str) -> UserError:
    shown = [f"{column.name} ({column.describe()})" for column in columns[:_SHOWN]]
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    allowed = f"a column that can be the {role}; {option} COLUMN names one"
    return UserError(where, f"{one_of(shown) or 'no other column'}{more}", allowed)


def _is_id(column: Column) -> bool:
    return hints.is_id(column.name) and column.is_unique and column.filled == column.rows


def _ranked_texts(columns: Sequence[Column]) -> list[Column]:
    """The columns that can be a text, the most likely first."""
    paired = {
        column.name
        for first in columns for second in columns if hints.is_pair(first.name, second.name)
        for column in (first, second)
    }  # fmt: skip
    texts = [column for column in columns if _is_text(column, column.name in paired)]
    return sorted(texts, key=lambda column: (hints.rank(column.name, hints.TEXTS), -column.words))


def _is_text(column: Column, is_paired: bool) -> bool:
    different = len(column.counts)
    if column.content != "words" or column.filled < _LEAST_FILLED * column.rows:
        return False
    if different <= min(MOST_CLASSES, max(2, _LEAST_DIFFERENT * column.filled)):
        return False
    if hints.rank(column.name, hints.TEXTS) < len(hints.TEXTS):
        return True
    return column.words >= _LEAST_WORDS and (is_paired or not _is_class(column))


def _with_pair(text: Column, texts: Sequence[Column]) -> tuple[Column, Column | None]:
    """The text and its second one, by their names, or by likeness where names say nothing.

    Args:
        texts: the columns that can be a text, in the table's order.
    """
    for first in texts:
        for second in texts:
            if hints.is_pair(first.name, second.name):
                return first, second
    is_named = any(hints.rank(column.name, hints.TEXTS) < len(hints.TEXTS) for column in texts)
    if is_named or len(texts) != 2:
        return text, None
    first, second = texts
    are_alike = max(first.words, second.words) <= 1.5 * min(first.words, second.words)
    return (first, second) if are_alike else (text, None)


def _ranked_labels(columns: Sequence[Column]) -> list[Column]:
    """The columns that can be a label, the most likely first: by name, then by kind, then last."""

    def key(column: Column) -> tuple[int, bool, bool]:
        by_name = hints.rank(column.name, hints.LABELS)
        return by_name, not _is_class(column), column.content != "words"

    possible = [c for c in reversed(columns) if not hints.is_no_label(c.name) and _is_label(c)]
    return sorted(possible, key=key)  # stable: the last one of equals


def _is_label(column: Column) -> bool:
    return column.filled >= _LEAST_FILLED * column.rows and (_is_class(column) or _is_score(column))


def _is_class(column: Column) -> bool:
    most = _MOST_NUMBERED if column.is_number else MOST_CLASSES
    is_named = column.content in ("words", "whole numbers") and column.words <= _LABEL_WORDS
    return is_named and 2 <= len(column.counts) <= min(most, column.filled // 2)


def _is_score(column: Column) -> bool:
    if not column.is_number or column.is_rising or len(column.counts) < 2:
        return False
    # Whole numbers that hardly repeat count or name the rows.
    return column.content == "decimals" or len(column.counts) < _MOST_OF_ROWS * column.filled


def _is_possible(column: Column) -> bool:
    """Whether a column that the user names can be a label."""
    return len(column.counts) > 1 and (column.is_number or not column.is_unique)


def guess_labels(name: str, counts: Counter[str]) -> Labels:
    """Kind and labels of a label column with these values, two or more."""
    values = [number for text in counts if (number := as_number(text)) is not None]
    if len(values) < len(counts):
        names = sorted(counts, key=lambda text: (text.casefold(), text))
        if len(names) == 2:
            return Labels("binary", labels=tuple(sorted(names, key=_is_positive)))
        return Labels("classes", labels=tuple(names))
    is_whole = all(value == int(value) for value in values)
    is_named_score = any(part in hints.plain(name) for part in hints.SCORES)
    if not is_whole or len(values) > _MOST_NUMBERED or (is_named_score and len(values) > 2):
        return Labels("regression", range=(math.floor(min(values)), math.ceil(max(values))))
    if sorted(counts) == sorted(map(str, range(len(values)))):
        return Labels("binary") if len(values) == 2 else Labels("classes", classes=len(values))
    ordered = tuple(sorted(counts, key=lambda text: (float(text), text)))
    return Labels("binary" if len(ordered) == 2 else "classes", labels=ordered)


def _is_positive(name: str) -> bool:
    return hints.plain(name).partition("_")[0] not in hints.NEGATIVE
