"""Predicts the rows of a table, chunk by chunk, into a table of the same rows."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtl_sharing.data.tables.cells import cell_text
from mtl_sharing.data.tables.files import LineCounts
from mtl_sharing.data.tables.tables import Record
from mtl_sharing.errors import one_of
from mtl_sharing.evaluation.evaluate import Answers
from mtl_sharing.predict.columns import TableColumns, TextColumns
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.predict.table_files import PARQUET_NAME, InputTable, arrow_field, table_writer
from mtl_sharing.utils.progress import Progress

log = logging.getLogger(__name__)


@dataclass
class _Reading:
    """Tasks that read the same columns, and how many rows lack a text.

    Attributes:
        pair_tasks: those of them that read second texts, too.
    """

    columns: TextColumns
    tasks: tuple[str, ...]
    pair_tasks: tuple[str, ...]
    missing: Counter[str] = field(default_factory=Counter)

    def predict(self, run: LoadedRun, records: Sequence[Record], size: int) -> dict[str, Answers]:
        """The tasks' answers for some rows."""
        texts = [_text(record, self.columns.text) for record in records]
        name = self.columns.pair
        pairs = None if name is None else [_text(record, name) for record in records]
        self.missing.update(map(_missing, records, texts, texts if pairs is None else pairs))
        return run.predictor.predict(texts, pairs, self.tasks, size)

    def warn(self, alone: bool) -> None:
        """Logs how many rows lack a text; the tasks are named unless they are all."""
        if self.missing["text"]:
            of_tasks = "" if alone else f"of {one_of(self.tasks)} "
            log.warning("no predictions %sof rows without text: %d", of_tasks, self.missing["text"])
        if self.missing["pair"] and self.pair_tasks:
            message = "no predictions of %s of rows without a second text: %d"
            log.warning(message, one_of(self.pair_tasks), self.missing["pair"])


def predict_table(
    run: LoadedRun,
    table: InputTable,
    path: Path | None,
    kind: str,
    columns: TableColumns,
    batch_size: int,
) -> Progress:
    """Writes the table's rows, in their order, with the run's predictions.

    The columns of a task are those of :class:`AnswerColumns`, empty where the row lacks a text.
    Some thousand rows are in memory at a time.

    Args:
        path: the file to write, in the format ``kind``; it appears once it is complete. None is
            the standard output.
        columns: the choice of :func:`choose_columns`.

    Returns:
        The progress at its end: number of rows and seconds.

    Raises:
        UserError: a row that cannot be read.
        OSError: the file cannot be written.
    """
    readings, first_bad, bad, counts = _readings(run, columns), "", 0, LineCounts()
    fields = None
    if kind == PARQUET_NAME:
        added_fields = [arrow_field(name, type_name) for name, type_name in columns.added.items()]
        fields = [*table.fields(columns.kept), *added_fields]
    with (
        Progress("predicting", unit="rows") as progress,
        table_writer(path, kind, [*columns.kept, *columns.added], fields) as write,
    ):
        for records in table.chunks(counts):
            problems = [f"{table.name}:{r.line}: {r.problem}" for r in records if r.problem]
            first_bad, bad = first_bad or next(iter(problems), ""), bad + len(problems)
            answers: dict[str, Answers] = {}
            for reading in readings:
                answers |= reading.predict(run, records, batch_size)
            cells: dict[str, list[Any]] = {}
            for task, own in columns.answers.items():
                cells |= own.cells(answers[task])
            rows = [{n: r.fields[n] for n in columns.kept if n in r.fields} for r in records]
            for number, row in enumerate(rows):
                row |= {name: values[number] for name, values in cells.items()}
            write(rows)
            progress.advance(len(records))
    log.info("%s: %s", table.name, counts.describe("rows", progress.done))
    if bad:
        log.warning("no predictions of bad rows: %d (the first: %s)", bad, first_bad)
    for reading in readings:
        reading.warn(alone=len(readings) == 1)
    return progress


def _readings(run: LoadedRun, columns: TableColumns) -> list[_Reading]:
    """The tasks by the columns that they read.

    A task of single texts joins one of pairs with the same texts: the shared layers run once.
    """
    of_pairs = [own for own in columns.reads.values() if own.pair is not None]
    tasks: dict[TextColumns, list[str]] = {}
    for task, own in columns.reads.items():
        joined = next((other for other in of_pairs if other.text == own.text), own)
        tasks.setdefault(own if own.pair is not None else joined, []).append(task)
    specs = run.run_spec.specs
    return [
        _Reading(own, tuple(names), tuple(name for name in names if specs[name].is_pair))
        for own, names in tasks.items()
    ]


def _text(record: Record, column: str) -> str | None:
    """A row's text; None where it is missing or nested, as in training.

    None also where the row has more fields than the header, or a key twice: it may be either.
    """
    return None if record.problem is not None else cell_text(record.fields.get(column))


def _missing(record: Record, text: str | None, pair: str | None) -> str:
    """The reason why a row has no predictions, or none of pairs; empty if it has all."""
    if record.problem is not None:
        return "bad"
    return "text" if text is None else "pair" if pair is None else ""
