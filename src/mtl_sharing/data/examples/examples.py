"""Examples: checked rows of a source's tables, and the count of texts that two splits share."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mtl_sharing.data.examples.repeats import KnownTexts
from mtl_sharing.data.examples.source_tables import check_columns, open_tables
from mtl_sharing.data.tables.cells import cell_text, why_no_text
from mtl_sharing.data.tables.files import LineCounts, extension
from mtl_sharing.data.tables.tables import JSON, Record
from mtl_sharing.data.tasks.sources import OWN, Source
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.errors import UserError, check_known, one_of

BAD_ROW_CHOICES = ("skip", "error")
MAX_BAD_ROWS_SHOWN = 3

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
    """Numbers of usable and of bad rows of one source."""

    examples: int
    bad_rows: int


@dataclass(frozen=True)
class LoadedExamples:
    """Examples of one split of a task.

    Attributes:
        first_bad: ``file:line: reason`` of up to 3 bad rows.
        sources: row counts by name of the source (``own`` for the task's own files).
        reasons: number of bad rows by reason.
        lines: what the lines of the files became; None for generated examples.
        limit: the limit on rows that ended the reading of a source; None where none did.
    """

    examples: list[Example]
    bad_rows: int = 0
    first_bad: list[str] = field(default_factory=list)
    sources: Mapping[str, SourceCount] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    lines: LineCounts | None = None
    limit: int | None = None


class _BadRow(Exception):
    """A row that lacks a field; its message is the reason."""


def load_examples(
    spec: TaskSpec,
    split: str,
    data_dir: Path | None,
    on_bad_row: str = "skip",
    max_rows: int | None = None,
) -> LoadedExamples:
    """Examples of one split of a task: its own files, then its sources, row by row.

    A row without a text or a label (empty or ``nan``, unless the labels list that name), or with
    more fields than the header, is bad. Texts are stripped of surrounding white space. A row
    without an id gets ``file:line``, and an id from a named source starts with ``source:``. In the
    test split labels are optional: a missing label column, or an empty label, gives ``None``.

    Args:
        on_bad_row: ``skip`` counts bad rows, ``error`` stops at the first.
        max_rows: number of usable rows to read of each source; ``None`` reads all.

    Raises:
        UserError: naming the field for a missing folder or file list, or a source with no usable
            row; the file for a missing file or column; ``file:line`` for a bad row (``error`` only)
            or an unknown label.
    """
    check_known("suite.on_bad_row", on_bad_row, BAD_ROW_CHOICES)
    if max_rows is not None and max_rows < 1:
        raise UserError(f"suite.max_{split}_rows", max_rows, "1 or more, or null for all")
    counts, reasons = LineCounts(), Counter[str]()
    parts = {}
    for source in spec.sources_of(split):
        parts[source.name] = part = _load(source, split, data_dir, on_bad_row, max_rows, counts)
        reasons.update(part.reasons)
    return LoadedExamples(
        [example for part in parts.values() for example in part.examples],
        sum(part.bad_rows for part in parts.values()),
        [row for part in parts.values() for row in part.first_bad][:MAX_BAD_ROWS_SHOWN],
        {name: SourceCount(len(part.examples), part.bad_rows) for name, part in parts.items()},
        reasons,
        counts,
        max_rows if any(len(part.examples) == max_rows for part in parts.values()) else None,
    )


def _load(
    source: Source,
    split: str,
    data_dir: Path | None,
    on_bad_row: str,
    max_rows: int | None,
    counts: LineCounts,
) -> LoadedExamples:
    examples: list[Example] = []
    bad: list[str] = []
    reasons = Counter[str]()
    for table in open_tables(source, split, data_dir, counts):
        check_columns(source, split, table)
        for record in table.records:
            where = f"{table.path}:{record.line}"
            try:
                examples.append(_example(source, record, where, table.name, split == "test"))
            except _BadRow as reason:
                if on_bad_row == "error":
                    allowed = "a row with every field, or suite.on_bad_row=skip"
                    raise UserError(where, str(reason), allowed) from None
                bad.append(f"{where}: {reason}")
                reasons[str(reason)] += 1
            if len(examples) == max_rows:
                return _loaded(examples, bad, reasons)
    if not examples:
        raise _no_example(source, split, bad)
    return _loaded(examples, bad, reasons)


def _no_example(source: Source, split: str, bad: list[str]) -> UserError:
    files = source.files[split]
    first = f"; {len(bad)} bad rows, the first is {bad[0]}" if bad else ""
    found = f"{source.where} is empty: no usable row in {one_of(files)}{first}"
    allowed = "one usable row or more"
    if len(bad) == 1 and any(extension(Path(name)) in JSON for name in files):
        allowed += "; JSON by rows, as pandas' to_json(orient='records', lines=True) writes it"
    return UserError(f"{source.where}.{split}", found, allowed)


def _loaded(examples: list[Example], bad: list[str], reasons: Counter[str]) -> LoadedExamples:
    return LoadedExamples(examples, len(bad), bad[:MAX_BAD_ROWS_SHOWN], reasons=reasons)


def shared_texts(train: Iterable[Example], dev: Iterable[Example]) -> tuple[int, int]:
    """Counts dev examples that repeat train, in lower case with white space collapsed.

    Returns:
        The number whose complete input (a pair in either order) is a train input, and the number
        with at least one text that occurs anywhere in train.
    """
    return KnownTexts.of(map(normalized_texts, train)).count(list(map(normalized_texts, dev)))


def normalized_texts(example: Example) -> tuple[str, ...]:
    """The example's texts in lower case, with white space collapsed."""
    texts = (example.text,) if example.text_pair is None else (example.text, example.text_pair)
    # Sorted, so that a swapped pair is the same input.
    return tuple(sorted(" ".join(text.lower().split()) for text in texts))


def _example(source: Source, record: Record, where: str, table_name: str, is_test: bool) -> Example:
    """The example of a row; raises _BadRow, or UserError for an unknown label."""
    if record.problem is not None:
        raise _BadRow(record.problem)
    columns = source.columns
    pair = None if columns.text_pair is None else _text(record, columns.text_pair)
    row_id = None if columns.id is None else cell_text(record.fields.get(columns.id))
    row_id = row_id or f"{table_name}:{record.line}"
    # Different sources may use the same ids.
    row_id = row_id if source.name == OWN else f"{source.name}:{row_id}"
    label = _label(source, record, where, is_test)
    return Example(row_id, _text(record, columns.text), pair, label)


def _label(source: Source, record: Record, where: str, is_test: bool) -> Label:
    """The label of a row; None where a test row has none."""
    column = source.columns.label
    value = record.fields.get(column)
    label = source.labels.read_cell(value, where)
    if label is None and not is_test:
        raise _BadRow(why_no_text(value, column))
    return label


def _text(record: Record, column: str) -> str:
    value = record.fields.get(column)
    text = cell_text(value)
    if text is None:
        raise _BadRow(why_no_text(value, column))
    return text
