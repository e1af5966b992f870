"""Predicts a table of rows, chunk by chunk, into a table beside it."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.data.tables.tables import Record, flat
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.evaluation.evaluate import Answers
from mtl_sharing.predict.inputs import InputTable
from mtl_sharing.predict.loaded_run import LoadedRun, named_tasks
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
    """What of a table is read and written.

    Attributes:
        text, text_pair: names of the columns to predict; None takes ``text`` and ``text_pair``.
        id: the only column that is kept beside the predictions; None keeps all.
        tasks: some of the run's; None takes all whose columns are there.
        prefix: put before each task's name in the columns that are added.
        batch_size: rows of a batch.
    """

    text: str | None = None
    text_pair: str | None = None
    id: str | None = None
    tasks: Sequence[str] | None = None
    prefix: str = ""
    batch_size: int = 64


@dataclass
class _Told:
    """What is to be said of rows at the end."""

    without_text: int = 0
    without_pair: int = 0
    shifted: int = 0
    first_shifted: str = ""


@dataclass(frozen=True)
class Chosen:
    """Which columns are read and written, and which tasks they are for.

    Attributes:
        text, pair: of the texts; ``pair`` is None where there are no second ones.
        kept: of the input.
        added: of the predictions, each with Arrow's name of its type.
    """

    text: str
    pair: str | None
    tasks: tuple[str, ...]
    kept: tuple[str, ...]
    added: Mapping[str, str]


def choose(run: LoadedRun, table: InputTable, options: TableOptions) -> Chosen:
    """What is done with a table.

    Raises:
        UserError: a column or a task that is not there, tasks without their columns, or columns
            of the input named as predictions are.
    """
    text = TEXT if options.text is None else options.text
    table.check_column("--text", text)
    if options.id is not None:
        table.check_column("--id", options.id)
    pair, tasks = _pair_and_tasks(run, table, options)
    kept = table.columns if options.id is None else (options.id,)
    added = _added_columns(run, tasks, options.prefix)
    _check_clash(table, kept, added)
    return Chosen(text, pair, tasks, kept, added)


def _pair_and_tasks(
    run: LoadedRun, table: InputTable, options: TableOptions
) -> tuple[str | None, tuple[str, ...]]:
    """The column of second texts, if there is one, and the tasks that can be predicted."""
    pair = TEXT_PAIR if options.text_pair is None else options.text_pair
    wanted = named_tasks(run, options.tasks)
    left = [name for name in wanted if run.run_spec.specs[name].is_pair]
    chosen = tuple(name for name in wanted if name not in left)
    if options.text_pair is not None or not chosen or (options.tasks is not None and left):
        table.check_column("--text-pair", pair)
    if pair in table.columns:
        return pair, wanted
    if left:
        log.info("left out: %s, for want of a column %s (--text-pair)", one_of(left), pair)
    return None, chosen


def predict_table(
    run: LoadedRun, table: InputTable, path: Path, kind: str, chosen: Chosen, options: TableOptions
) -> Progress:
    """Writes the table's rows, in their order, with what the run says of each.

    For a task the column ``<task>``, and for classes ``<task>_probability``, both empty where the
    row lacks a text. A few thousand rows are in memory at a time.

    Args:
        path: the file to write, there only once it is whole.
        kind: its format.
        chosen: what :func:`choose` says of the table.

    Returns:
        How many rows there were, and how long they took.

    Raises:
        UserError: a row that cannot be read.
        OSError: the file cannot be written.
    """
    fields = None
    if kind == PARQUET_NAME:
        fields = [*table.fields(chosen.kept), *_fields(chosen.added)]
    told = _Told()
    with (
        Progress("predicting", unit="rows") as progress,
        table_writer(path, kind, [*chosen.kept, *chosen.added], fields) as write,
    ):
        for records in table.chunks():
            texts = [_text(record, chosen.text) for record in records]
            pairs = None
            if chosen.pair is not None:
                pairs = [_text(record, chosen.pair) for record in records]
            _count(told, table, records, texts, pairs)
            answers = run.predictor.predict(texts, pairs, chosen.tasks, options.batch_size)
            columns = _columns(run, answers, options.prefix)
            write(
                [
                    {n: record.fields[n] for n in chosen.kept if n in record.fields}
                    | {name: values[number] for name, values in columns.items()}
                    for number, record in enumerate(records)
                ]
            )
            progress.advance(len(records))
    _tell(told, [name for name in chosen.tasks if run.run_spec.specs[name].is_pair])
    return progress


def _added_columns(run: LoadedRun, tasks: Sequence[str], prefix: str) -> dict[str, str]:
    """The columns that predictions of ``tasks`` have, by name what Arrow calls their type."""
    kinds = {}
    for task in tasks:
        spec = run.run_spec.specs[task]
        if spec.kind == "regression":
            kinds[f"{prefix}{task}"] = "float64"
        else:
            kinds[f"{prefix}{task}"] = "string" if spec.labels else "int64"
            kinds[f"{prefix}{task}{PROBABILITY}"] = "float64"
    return kinds


def _fields(kinds: Mapping[str, str]) -> "list[pa.Field]":
    import pyarrow as pa

    return [pa.field(name, getattr(pa, kind)()) for name, kind in kinds.items()]


def _check_clash(table: InputTable, kept: Sequence[str], added: Iterable[str]) -> None:
    clash = [name for name in added if name in kept]
    if clash:
        found = f"columns named as predictions are: {one_of(clash)}"
        allowed = "other names; --prefix=predicted_ names the predictions otherwise"
        raise UserError(str(table.path), found, allowed)


def _columns(run: LoadedRun, answers: dict[str, Answers], prefix: str) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for task, found in answers.items():
        columns[f"{prefix}{task}"] = values = readable(run.run_spec.specs[task], found)
        if found.probability is not None:
            columns[f"{prefix}{task}{PROBABILITY}"] = [
                None if value is None else rounded(probability)
                for value, probability in zip(values, found.probability, strict=True)
            ]
    return columns


def _text(record: Record, column: str) -> str | None:
    """A row's text; None where it has none, or a nested value in its place, as in training.

    None too where its columns are shifted, since it may stand in any of them.
    """
    if record.problem is not None or column not in record.fields:
        return None
    value = flat({column: record.fields[column]}).get(column)
    return None if value is None else str(value)


def _count(
    told: _Told,
    table: InputTable,
    records: Sequence[Record],
    texts: Sequence[str | None],
    pairs: Sequence[str | None] | None,
) -> None:
    for number, record in enumerate(records):
        if record.problem is not None:
            told.shifted += 1
            told.first_shifted = told.first_shifted or f"{table.path}:{record.line}"
        elif is_empty(texts[number]):
            told.without_text += 1
        elif pairs is not None and is_empty(pairs[number]):
            told.without_pair += 1


def _tell(told: _Told, pair_tasks: Sequence[str]) -> None:
    if told.shifted:
        words = "no predictions of rows with more fields than the header: %d (the first: %s)"
        log.warning(words, told.shifted, told.first_shifted)
    if told.without_text:
        log.warning("no predictions of rows without text: %d", told.without_text)
    if told.without_pair and pair_tasks:
        words = "no predictions of %s of rows without a second text: %d"
        log.warning(words, one_of(pair_tasks), told.without_pair)
