"""Turns table rows into checked examples, and counts texts that two splits share."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mtl_sharing.data.tables import Record, Value, read_table, table_columns
from mtl_sharing.data.tasks import TaskSpec
from mtl_sharing.errors import UserError, did_you_mean, one_of

BAD_ROW_CHOICES = ("skip", "error")
MOST_BAD_ROWS_TOLD = 3

Label = float | int | None


@dataclass(frozen=True)
class Example:
    """One text or pair of texts. ``label`` is a class (int), a score (float), or ``None``."""

    id: str
    text: str
    text_pair: str | None
    label: Label


@dataclass(frozen=True)
class LoadedExamples:
    """The usable examples, how many rows were bad, and up to 3 ``file:line: reason`` of those."""

    examples: list[Example]
    bad_rows: int = 0
    first_bad: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SharedTexts:
    """Dev examples whose whole input, and dev examples of which a text, occurs in train."""

    examples: int
    texts: int


class _BadRow(Exception):
    """A row that lacks something; the message says what."""


def load_examples(
    spec: TaskSpec,
    split: str,
    data_dir: Path | None,
    on_bad_row: str = "skip",
    max_rows: int | None = None,
) -> LoadedExamples:
    """The examples of one split of a task, in the order of its files and their rows.

    A row without a text or a label (empty or ``nan``), or with more fields than the header, is
    bad. Texts lose the white space around them. A row without an id is called ``file:line``. In
    the test split labels are optional: a missing label column, or an empty label, gives ``None``.

    Args:
        spec: the task.
        split: train, dev or test.
        data_dir: where relative file names start.
        on_bad_row: ``skip`` counts bad rows, ``error`` stops at the first.
        max_rows: keep the first so many usable rows and read no further.

    Raises:
        UserError: naming the field for a missing folder or file list; naming the file for a
            missing file or column, or no usable row; naming ``file:line`` for a bad row (if
            asked) and always for a label that is there but is not one of the task's.
    """
    if on_bad_row not in BAD_ROW_CHOICES:
        raise UserError("suite.on_bad_row", on_bad_row, one_of(BAD_ROW_CHOICES))
    if max_rows is not None and max_rows < 1:
        raise UserError(f"suite.max_{split}_rows", max_rows, "1 or more, or null for all")
    examples: list[Example] = []
    bad: list[str] = []
    for path in _paths(spec, split, data_dir):
        for where, outcome in _outcomes(spec, split, path):
            if isinstance(outcome, Example):
                examples.append(outcome)
            elif on_bad_row == "error":
                raise UserError(where, outcome, "a row with every field, or suite.on_bad_row=skip")
            else:
                bad.append(f"{where}: {outcome}")
            if len(examples) == max_rows:
                return LoadedExamples(examples, len(bad), bad[:MOST_BAD_ROWS_TOLD])
    if not examples:
        raise _empty(spec, split, bad)
    return LoadedExamples(examples, len(bad), bad[:MOST_BAD_ROWS_TOLD])


def shared_texts(train: Iterable[Example], dev: Iterable[Example]) -> SharedTexts:
    """How far dev repeats train, compared in lower case with white space collapsed.

    ``examples`` counts dev examples whose whole input (a pair in either order) is a train
    input; ``texts`` counts dev examples with at least one text that occurs anywhere in train.
    """
    inputs = {_texts(example) for example in train}
    texts = {text for parts in inputs for text in parts}
    wanted = [_texts(example) for example in dev]
    whole = sum(parts in inputs for parts in wanted)
    return SharedTexts(whole, sum(not texts.isdisjoint(parts) for parts in wanted))


def _paths(spec: TaskSpec, split: str, data_dir: Path | None) -> list[Path]:
    where = f"task.{spec.name}.{split}"
    names = spec.files(split)
    if not names:
        raise UserError(where, "no files", "a list of file names, such as [data.csv]")
    paths = [Path(name).expanduser() for name in names]
    folder = None if data_dir is None else data_dir.expanduser()
    relative = [path for path in paths if not path.is_absolute()]
    if relative and folder is None:
        allowed = f"the folder that holds {relative[0]} (named by {where})"
        raise UserError("data_dir", "null", allowed)
    if relative and folder is not None and not folder.is_dir():
        raise UserError("data_dir", folder, f"a folder that exists and holds {relative[0]}")
    return paths if folder is None else [folder / path for path in paths]


def _outcomes(spec: TaskSpec, split: str, path: Path) -> Iterator[tuple[str, Example | str]]:
    """For each row its place, and the example or the reason why it is bad."""
    style = spec.format
    options = {"quoting": style.quoting, "header": style.header}
    names = table_columns(path, delimiter=style.delimiter, **options)
    has_label = _check_columns(spec, split, path, names)
    for record in read_table(path, delimiter=style.delimiter, **options):
        where = f"{path}:{record.line}"
        try:
            yield where, _example(spec, record, where, path.name, has_label, split == "test")
        except _BadRow as reason:
            yield where, str(reason)


def _check_columns(spec: TaskSpec, split: str, path: Path, names: tuple[str, ...]) -> bool:
    """Whether the table has the label column; raises for a column it must have and has not."""
    columns = spec.columns
    wanted = {"text": columns.text, "text_pair": columns.text_pair, "id": columns.id}
    if split != "test":
        wanted["label"] = columns.label
    there = [name for name in names if name]
    for role, name in wanted.items():
        if name is not None and name not in there:
            found = f"no column {name!r} (task.{spec.name}.columns.{role})"
            raise UserError(
                str(path), found, (one_of(there) or "the file is empty") + did_you_mean(name, there)
            )
    return columns.label in there


def _example(
    spec: TaskSpec, record: Record, where: str, file_name: str, has_label: bool, is_test: bool
) -> Example:
    if record.problem is not None:
        raise _BadRow(record.problem)
    columns = spec.columns
    pair = None if columns.text_pair is None else _text(record, columns.text_pair)
    name = None if columns.id is None else _present(record.fields.get(columns.id))
    label = _label(spec, record, where, is_test) if has_label else None
    return Example(name or f"{file_name}:{record.line}", _text(record, columns.text), pair, label)


def _present(value: Value) -> str | None:
    """The value as text without white space around it, or ``None`` where nothing is there."""
    text = "" if value is None else str(value).strip()
    return None if text in ("", "nan", "NaN") else text


def _text(record: Record, column: str) -> str:
    text = _present(record.fields.get(column))
    if text is None:
        raise _BadRow(f"nothing in column {column!r}")
    return text


def _label(spec: TaskSpec, record: Record, where: str, is_test: bool) -> Label:
    text = _present(record.fields.get(spec.columns.label))
    if text is None:
        if is_test:
            return None
        raise _BadRow(f"nothing in column {spec.columns.label!r}")
    if spec.labels is not None:
        return _named_class(spec.labels, text, where)
    number = _number(text)
    if spec.kind == "regression":
        low, high = spec.low, spec.high
        assert low is not None
        assert high is not None
        if number is None or not low <= number <= high:
            raise UserError(where, f"the label {text!r}", f"a number from {low:g} to {high:g}")
        return number
    assert spec.classes is not None
    if number is None or number not in range(spec.classes):
        raise UserError(where, f"the label {text!r}", f"a whole number 0 to {spec.classes - 1}")
    return int(number)


def _named_class(labels: tuple[str, ...], text: str, where: str) -> int:
    if text not in labels:
        allowed = one_of(labels) + did_you_mean(text, labels)
        raise UserError(where, f"the label {text!r}", allowed)
    return labels.index(text)


def _number(text: str) -> float | None:
    """The finite number that ``text`` is; ``1_0``, which Python reads as 10, is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def _empty(spec: TaskSpec, split: str, bad: list[str]) -> UserError:
    reason = f"; {len(bad)} bad rows, the first is {bad[0]}" if bad else ""
    files = one_of(spec.files(split))
    found = f"task {spec.name} is empty: no usable row in {files}{reason}"
    return UserError(f"task.{spec.name}.{split}", found, "one usable row or more")


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _texts(example: Example) -> tuple[str, ...]:
    """The plain texts of an example, sorted, so that a swapped pair is the same input."""
    both = (example.text,) if example.text_pair is None else (example.text, example.text_pair)
    return tuple(sorted(_plain(text) for text in both))
