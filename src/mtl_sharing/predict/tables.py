"""Predicts the rows of a table, chunk by chunk, into a table of the same rows."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_sharing.data.tables.cells import cell_text
from mtl_sharing.data.tables.files import LineCounts
from mtl_sharing.data.tables.tables import Record
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.evaluation.evaluate import Answers
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.predict.predictor import readable, rounded
from mtl_sharing.predict.table_files import PARQUET_NAME, InputTable, arrow_field, table_writer
from mtl_sharing.utils.progress import Progress

log = logging.getLogger(__name__)

PROBABILITY = "_probability"


@dataclass(frozen=True)
class TableColumns:
    """Columns that are read and written, and the tasks they are for.

    Attributes:
        text, pair: columns of the texts; ``pair`` is None without second texts.
        kept: columns of the input.
        added: columns of the predictions, each with the name of its Arrow type.
        prefix: stands before each task's name in the added columns.
    """

    text: str
    pair: str | None
    tasks: tuple[str, ...]
    kept: tuple[str, ...]
    added: Mapping[str, str]
    prefix: str


def choose_columns(
    run: LoadedRun,
    table: InputTable,
    texts: tuple[str | None, str | None],
    id_column: str | None,
    tasks: Sequence[str] | None,
    prefix: str,
) -> TableColumns:
    """The columns and tasks of a prediction.

    Args:
        texts: columns of the texts and second texts; None takes ``text`` and ``text_pair``.
        id_column: the only column that is kept beside the predictions; None keeps all.
        tasks: some of the run's tasks; None takes all whose columns are there.
        prefix: stands before each task's name in the added columns.

    Raises:
        UserError: a missing column, an unknown task, tasks without their columns, or columns of
            the input that have the name of a prediction.
    """
    text = "text" if texts[0] is None else texts[0]
    table.check_column("--text", text)
    if id_column is not None:
        table.check_column("--id", id_column)
    pair, chosen = _pair_and_tasks(run, table, texts[1], tasks)
    kept = table.columns if id_column is None else (id_column,)
    added = _added_columns(run, chosen, prefix)
    if clash := [name for name in added if name in kept]:
        found = f"columns named as predictions are: {one_of(clash)}"
        allowed = "other names; --prefix=predicted_ names the predictions otherwise"
        raise UserError(str(table.path), found, allowed)
    return TableColumns(text, pair, chosen, kept, added, prefix)


def _pair_and_tasks(
    run: LoadedRun, table: InputTable, named_pair: str | None, named_tasks: Sequence[str] | None
) -> tuple[str | None, tuple[str, ...]]:
    """The column of second texts, if there is one, and the tasks that can be predicted."""
    pair = "text_pair" if named_pair is None else named_pair
    tasks = run.select_tasks(named_tasks)
    pair_tasks = [name for name in tasks if run.run_spec.specs[name].is_pair]
    single_tasks = tuple(name for name in tasks if name not in pair_tasks)
    if named_pair is not None or not single_tasks or (named_tasks is not None and pair_tasks):
        table.check_column("--text-pair", pair)
    if pair in table.columns:
        return pair, tasks
    if pair_tasks:
        log.info("left out: %s, for want of a column %s (--text-pair)", one_of(pair_tasks), pair)
    return None, single_tasks


def _added_columns(run: LoadedRun, tasks: Iterable[str], prefix: str) -> dict[str, str]:
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
    run: LoadedRun, table: InputTable, path: Path, kind: str, columns: TableColumns, batch_size: int
) -> Progress:
    """Writes the table's rows, in their order, with the run's predictions.

    A task has the column ``<task>``, and with classes ``<task>_probability``. Both are empty where
    the row lacks a text. Some thousand rows are in memory at a time.

    Args:
        path: the file to write, in the format ``kind``; it appears once it is complete.
        columns: the choice of :func:`choose_columns`.

    Returns:
        The progress at its end: number of rows and seconds.

    Raises:
        UserError: a row that cannot be read.
        OSError: the file cannot be written.
    """
    missing, first_bad, counts = Counter[str](), "", LineCounts()
    fields = None
    if kind == PARQUET_NAME:
        added_fields = [arrow_field(name, type_name) for name, type_name in columns.added.items()]
        fields = [*table.fields(columns.kept), *added_fields]
    with (
        Progress("predicting", unit="rows") as progress,
        table_writer(path, kind, [*columns.kept, *columns.added], fields) as write,
    ):
        for records in table.chunks(counts):
            texts = [_text(record, columns.text) for record in records]
            pairs = None if columns.pair is None else [_text(r, columns.pair) for r in records]
            missing.update(map(_missing, records, texts, texts if pairs is None else pairs))
            bad = (f"{table.path}:{r.line}: {r.problem}" for r in records if r.problem is not None)
            first_bad = first_bad or next(bad, "")
            answers = run.predictor.predict(texts, pairs, columns.tasks, batch_size)
            cells = _cells(run, answers, columns.prefix)
            rows = [{n: r.fields[n] for n in columns.kept if n in r.fields} for r in records]
            for number, row in enumerate(rows):
                row |= {name: values[number] for name, values in cells.items()}
            write(rows)
            progress.advance(len(records))
    pair_tasks = [name for name in columns.tasks if run.run_spec.specs[name].is_pair]
    log.info("%s: %s", table.path, counts.describe("rows", progress.done))
    _warn_of_missing(missing, first_bad, pair_tasks)
    return progress


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

    None also where the row has more fields than the header, or a key twice: it may be either.
    """
    return None if record.problem is not None else cell_text(record.fields.get(column))


def _missing(record: Record, text: str | None, pair: str | None) -> str:
    """The reason why a row has no predictions, or none of pairs; empty if it has all."""
    if record.problem is not None:
        return "bad"
    return "text" if text is None else "pair" if pair is None else ""


def _warn_of_missing(rows: Counter[str], first_bad: str, pair_tasks: Sequence[str]) -> None:
    if rows["bad"]:
        message = "no predictions of bad rows: %d (the first: %s)"
        log.warning(message, rows["bad"], first_bad)
    if rows["text"]:
        log.warning("no predictions of rows without text: %d", rows["text"])
    if rows["pair"] and pair_tasks:
        message = "no predictions of %s of rows without a second text: %d"
        log.warning(message, one_of(pair_tasks), rows["pair"])
