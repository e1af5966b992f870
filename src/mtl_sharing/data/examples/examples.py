"""Turns table rows into checked examples, and counts texts that two splits share."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mtl_sharing.data.examples.files import Table, open_tables
from mtl_sharing.data.tables.tables import Record, Value
from mtl_sharing.data.tasks.sources import OWN, Source
from mtl_sharing.data.tasks.task import TaskSpec
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
class SourceCount:
    """How many usable and bad rows came from one source."""

    examples: int
    bad_rows: int


@dataclass(frozen=True)
class LoadedExamples:
    """The usable examples, how many rows were bad, and up to 3 ``file:line: reason`` of those;
    and the counts of each source by its name (the task's own files are ``own``)."""

    examples: list[Example]
    bad_rows: int = 0
    first_bad: list[str] = field(default_factory=list)
    sources: Mapping[str, SourceCount] = field(default_factory=dict)


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
    """The examples of one split of a task: its own files, then its sources, row by row.

    A row without a text or a label (empty or ``nan``), or with more fields than the header, is
    bad. Texts lose the white space around them. A row without an id is called ``file:line``, and
    an id from a named source starts with ``source:``. In the test split labels are optional: a
    missing label column, or an empty label, gives ``None``.

    Args:
        spec: the task.
        split: train, dev or test.
        data_dir: where relative file names start.
        on_bad_row: ``skip`` counts bad rows, ``error`` stops at the first.
        max_rows: keep the first so many usable rows of each source and read no further.

    Raises:
        UserError: naming the field for a missing folder or file list, or a source with no usable
            row; naming the file for a missing file or column; naming ``file:line`` for a bad row
            (if asked) and always for a label that is there but is not one of the task's.
    """
    if on_bad_row not in BAD_ROW_CHOICES:
        raise UserError("suite.on_bad_row", on_bad_row, one_of(BAD_ROW_CHOICES))
    if max_rows is not None and max_rows < 1:
        raise UserError(f"suite.max_{split}_rows", max_rows, "1 or more, or null for all")
    read = {
        source.name: _load(source, split, data_dir, on_bad_row, max_rows)
        for source in spec.sources_of(split)
    }
    return LoadedExamples(
        [example for loaded in read.values() for example in loaded.examples],
        sum(loaded.bad_rows for loaded in read.values()),
        [told for loaded in read.values() for told in loaded.first_bad][:MOST_BAD_ROWS_TOLD],
        {name: SourceCount(len(rows.examples), rows.bad_rows) for name, rows in read.items()},
    )


def _load(
    source: Source, split: str, data_dir: Path | None, on_bad_row: str, max_rows: int | None
) -> LoadedExamples:
    examples: list[Example] = []
    bad: list[str] = []
    for table in open_tables(source, split, data_dir):
        for where, outcome in _outcomes(source, split, table):
            if isinstance(outcome, Example):
                examples.append(outcome)
            elif on_bad_row == "error":
                raise UserError(where, outcome, "a row with every field, or suite.on_bad_row=skip")
            else:
                bad.append(f"{where}: {outcome}")
            if len(examples) == max_rows:
                return LoadedExamples(examples, len(bad), bad[:MOST_BAD_ROWS_TOLD])
    if not examples:
        raise _empty(source, split, bad)
    return LoadedExamples(examples, len(bad), bad[:MOST_BAD_ROWS_TOLD])


def shared_texts(train: Iterable[Example], dev: Iterable[Example]) -> SharedTexts:
    """How far dev repeats train, compared in lower case with white space collapsed.

    ``examples`` counts dev examples whose whole input (a pair in either order) is a train
    input; ``texts`` counts dev examples with at least one text that occurs anywhere in train.
    """
    inputs = {plain_texts(example) for example in train}
    texts = {text for parts in inputs for text in parts}
    wanted = [plain_texts(example) for example in dev]
    whole = sum(parts in inputs for parts in wanted)
    return SharedTexts(whole, sum(not texts.isdisjoint(parts) for parts in wanted))


def _outcomes(source: Source, split: str, table: Table) -> Iterator[tuple[str, Example | str]]:
    """For each row its place, and the example or the reason why it is bad."""
    has_label = _check_columns(source, split, table)
    for record in table.records:
        where = f"{table.place}:{record.line}"
        try:
            yield where, _example(source, record, where, table.name, has_label, split == "test")
        except _BadRow as reason:
            yield where, str(reason)


def _check_columns(source: Source, split: str, table: Table) -> bool:
    """Whether the table has the label column; raises for a column it must have and has not."""
    columns = source.columns
    wanted = {"text": columns.text, "text_pair": columns.text_pair, "id": columns.id}
    if split != "test":
        wanted["label"] = columns.label
    there = [name for name in table.columns if name]
    for role, name in wanted.items():
        if name is not None and name not in there:
            found = f"no column {name!r} ({source.where}.columns.{role})"
            allowed = (one_of(there) or "the file is empty") + did_you_mean(name, there)
            raise UserError(table.place, found, allowed)
    return columns.label in there


def _example(
    source: Source, record: Record, where: str, file_name: str, has_label: bool, is_test: bool
) -> Example:
    if record.problem is not None:
        raise _BadRow(record.problem)
    columns = source.columns
    pair = None if columns.text_pair is None else _text(record, columns.text_pair)
    name = None if columns.id is None else _present(record.fields.get(columns.id))
    name = name or f"{file_name}:{record.line}"
    # Two sources may well number their rows alike.
    name = name if source.name == OWN else f"{source.name}:{name}"
    label = _label(source, record, where, is_test) if has_label else None
    return Example(name, _text(record, columns.text), pair, label)


def _present(value: Value) -> str | None:
    """The value as text without white space around it, or ``None`` where nothing is there."""
    text = "" if value is None else str(value).strip()
    return None if text in ("", "nan", "NaN") else text


def _text(record: Record, column: str) -> str:
    text = _present(record.fields.get(column))
    if text is None:
        raise _BadRow(f"nothing in column {column!r}")
    return text


def _label(source: Source, record: Record, where: str, is_test: bool) -> Label:
    text = _present(record.fields.get(source.columns.label))
    if text is not None:
        return source.labels.read(text, where)
    if is_test:
        return None
    raise _BadRow(f"nothing in column {source.columns.label!r}")


def _empty(source: Source, split: str, bad: list[str]) -> UserError:
    reason = f"; {len(bad)} bad rows, the first is {bad[0]}" if bad else ""
    found = f"{source.where} is empty: no usable row in {one_of(source.files[split])}{reason}"
    return UserError(f"{source.where}.{split}", found, "one usable row or more")


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def plain_texts(example: Example) -> tuple[str, ...]:
    """The texts of an example in lower case, with white space collapsed.

    Sorted, so that a swapped pair is the same input.
    """
    both = (example.text,) if example.text_pair is None else (example.text, example.text_pair)
    return tuple(sorted(_plain(text) for text in both))
