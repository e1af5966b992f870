"""Predicts the rows of a table, chunk by chunk, into a table of the same rows."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.data.tables.tables import Record, flat
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.evaluation.evaluate import Answers
from mtl_sharing.predict.inputs import InputTable
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.predict.predictor import is_empty, readable, rounded
from mtl_sharing.predict.writers import PARQUET_NAME, table_writer
from mtl_sharing.utils.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

TEXT, TEXT_PAIR = "text", "text_pair"
PROBABILITY = "_probability"


@dataclass(frozen=True)
class TableOptions:
    """Options of ``mtl-predict --input``.

    Attributes:
        text, text_pair: columns of the texts; None takes ``text`` and ``text_pair``.
        id: the only column that is kept beside the predictions; None keeps all.
        tasks: some of the run's tasks; None takes all whose columns are there.
        prefix: stands before each task's name in the added columns.
        batch_size: rows of a batch.
    """

    text: str | None = None
    text_pair: str | None = None
    id: str | None = None
    tasks: Sequence[str] | None = None
    prefix: str = ""
    batch_size: int = 64


@dataclass(frozen=True)
class TableColumns:
    """Columns that are read and written, and the tasks they are for.

    Attributes:
        text, pair: columns of the texts; ``pair`` is None without second texts.
        kept: columns of the input.
        added: columns of the predictions, each with the name of its Arrow type.
    """

    text: str
    pair: str | None
    tasks: tuple[str, ...]
    kept: tuple[str, ...]
    added: Mapping[str, str]


def choose_columns(run: LoadedRun, table: InputTable, options: TableOptions) -> TableColumns:
    """The columns and tasks of a prediction.

    Raises:
        UserError: a missing column, an unknown task, tasks without their columns, or columns of
            the input that have the name of a prediction.
    """
    text = TEXT if options.text is None else options.text
    table.check_column("--text", text)
    if options.id is not None:
        table.check_column("--id", options.id)
    pair, tasks = _pair_and_tasks(run, table, options)
    kept = table.columns if options.id is None else (options.id,)
    added = _added_columns(run, tasks, options.prefix)
    if clash := [name for name in added if name in kept]:
        found = f"columns named as predictions are: {one_of(clash)}"
        allowed = "other names; --prefix=predicted_ names the predictions otherwise"
        raise UserError(str(table.path), found, allowed)
    return TableColumns(text, pair, tasks, kept, added)


def _pair_and_tasks(
    run: LoadedRun, table: InputTable, options: TableOptions
) -> tuple[str | None, tuple[str, ...]]:
    """The column of second texts, if there is one, and the tasks that can be predicted."""
    pair = TEXT_PAIR if options.text_pair is None else options.text_pair
    tasks = run.select_tasks(options.tasks)
    pair_tasks = [name for name in tasks if run.run_spec.specs[name].is_pair]
    single_tasks = tuple(name for name in tasks if name not in pair_tasks)
    named = options.tasks is not None and pair_tasks
    if options.text_pair is not None or not single_tasks or named:
        table.check_column("--text-pair", pair)
    if pair in table.columns:
        return pair, tasks
    if pair_tasks:
        log.info("left out: %s, for want of a column %s (--text-pair)", one_of(pair_tasks), pair)
    return None, single_tasks


def _added_columns(run: LoadedRun, tasks: Iterable[str], prefix: str) -> dict[str, str]:
    """The columns of predictions, each with the name of its Arrow type."""
    types = {}
    for task in tasks:
        spec = run.run_spec.specs[task]
        if spec.kind == "regression":
            types[f"{prefix}{task}"] = "float64"
        else:
            types[f"{prefix}{task}"] = "string" if spec.labels else "int64"
            types[f"{prefix}{task}{PROBABILITY}"] = "float64"
    return types


def predict_table(
    run: LoadedRun,
    table: InputTable,
    path: Path,
    kind: str,
    columns: TableColumns,
    options: TableOptions,
) -> Progress:
    """Writes the table's rows, in their order, with the run's predictions.

    A task has the column ``<task>``, and with classes ``<task>_probability``. Both are empty where
    the row lacks a text. Some thousand rows are in memory at a time.

    Args:
        path: the file to write; it appears once it is complete.
        kind: its format.
        columns: the choice of :func:`choose_columns`.

    Returns:
        The progress at its end: number of rows and seconds.

    Raises:
        UserError: a row that cannot be read.
        OSError: the file cannot be written.
    """
    missing = _MissingTexts()
    fields = _fields(table, columns) if kind == PARQUET_NAME else None
    with (
        Progress("predicting", unit="rows") as progress,
        table_writer(path, kind, [*columns.kept, *columns.added], fields) as write,
    ):
        for records in table.chunks():
            texts = [_text(record, columns.text) for record in records]
            pairs = None if columns.pair is None else [_text(r, columns.pair) for r in records]
            missing.count(table.path, records, texts, pairs)
            answers = run.predictor.predict(texts, pairs, columns.tasks, options.batch_size)
            added = _cells(run, answers, options.prefix)
            write(
                [
                    {n: record.fields[n] for n in columns.kept if n in record.fields}
                    | {name: cells[number] for name, cells in added.items()}
                    for number, record in enumerate(records)
                ]
            )
            progress.advance(len(records))
    missing.warn([name for name in columns.tasks if run.run_spec.specs[name].is_pair])
    return progress


def _fields(table: InputTable, columns: TableColumns) -> "list[pa.Field]":
    import pyarrow as pa

    added = [pa.field(name, getattr(pa, kind)()) for name, kind in columns.added.items()]
    return [*table.fields(columns.kept), *added]


def _cells(run: LoadedRun, answers: Mapping[str, Answers], prefix: str) -> dict[str, list[Any]]:
    """The added columns of a chunk."""
    cells: dict[str, list[Any]] = {}
    for task, answer in answers.items():
        cells[f"{prefix}{task}"] = values = readable(run.run_spec.specs[task], answer)
        if answer.probability is not None:
            cells[f"{prefix}{task}{PROBABILITY}"] = [
                None if value is None else rounded(probability)
                for value, probability in zip(values, answer.probability, strict=True)
            ]
    return cells


def _text(record: Record, column: str) -> str | None:
    """A row's text; None where it is missing or nested, as in training.

    None also where the row has more fields than the header: the text may be in any of them.
    """
    if record.problem is not None or column not in record.fields:
        return None
    value = flat({column: record.fields[column]}).get(column)
    return None if value is None else str(value)


@dataclass
class _MissingTexts:
    """Counts rows that have no predictions, by the reason."""

    text: int = 0
    pair: int = 0
    surplus_fields: int = 0
    first_surplus: str = ""

    def count(
        self,
        path: Path,
        records: Sequence[Record],
        texts: Sequence[str | None],
        pairs: Sequence[str | None] | None,
    ) -> None:
        for number, record in enumerate(records):
            if record.problem is not None:
                self.surplus_fields += 1
                self.first_surplus = self.first_surplus or f"{path}:{record.line}"
            elif is_empty(texts[number]):
                self.text += 1
            elif pairs is not None and is_empty(pairs[number]):
                self.pair += 1

    def warn(self, pair_tasks: Sequence[str]) -> None:
        if self.surplus_fields:
            log.warning(
                "no predictions of rows with more fields than the header: %d (the first: %s)",
                self.surplus_fields, self.first_surplus,
            )  # fmt: skip
        if self.text:
            log.warning("no predictions of rows without text: %d", self.text)
        if self.pair and pair_tasks:
            log.warning(
                "no predictions of %s of rows without a second text: %d",
                one_of(pair_tasks), self.pair,
            )  # fmt: skip
