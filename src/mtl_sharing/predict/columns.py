"""The columns of a table that a prediction reads, keeps and adds."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from mtl_sharing.data.tables.tables import DELIMITED
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.predict.answer_columns import AnswerColumns, check_names
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.predict.plain_text import PlainText
from mtl_sharing.predict.table_files import InputTable, open_input

log = logging.getLogger(__name__)

# Characters of a line that is no header.
_SHOWN = 40


class TextColumns(NamedTuple):
    """The column of the texts, and that of second texts; None for a task of single texts."""

    text: str
    pair: str | None


_COMMON = TextColumns("text", "text_pair")
Named = tuple[str | None, str | None]
"""The columns of the options ``--text`` and ``--text-pair``, where they are given."""


@dataclass(frozen=True)
class TableColumns:
    """Columns that are read and written.

    Attributes:
        reads: the columns of each task's texts.
        kept: columns of the input.
        answers: the columns that each task adds.
    """

    reads: Mapping[str, TextColumns]
    kept: tuple[str, ...]
    answers: Mapping[str, AnswerColumns]

    @property
    def added(self) -> dict[str, str]:
        """The columns of the predictions, each with the name of its Arrow type."""
        return {name: kind for own in self.answers.values() for name, kind in own.types.items()}


def choose_columns(
    run: LoadedRun,
    table: InputTable,
    named: Named,
    id_column: str | None,
    tasks: Sequence[str] | None,
    prefix: str,
    each_class: bool = True,
) -> TableColumns:
    """The columns and tasks of a prediction.

    A task reads the named columns, or those that it was trained with, or ``text`` and
    ``text_pair``: the first of these that the table has.

    Args:
        id_column: the only column that is kept beside the predictions; None keeps all.
        tasks: some of the run's tasks; None takes all whose columns are there.
        prefix: stands before each task's name in the added columns.
        each_class: whether the probability of each class is added, too.

    Raises:
        UserError: a missing column, an unknown task, tasks without their columns, or columns of
            the input that have the name of a prediction, or two tasks with a column of one name.
    """
    chosen = run.select_tasks(tasks)
    reads = _reads(run, table, named, chosen)
    for option, name in (("--text", named[0]), ("--text-pair", named[1]), ("--id", id_column)):
        if name is not None:
            table.check_column(option, name)
    if tasks is not None or not reads:
        for task in chosen:
            if task not in reads:
                table.check_column(*_lacking(table, _options(run.run_spec.specs[task], named)))
    kept = table.columns if id_column is None else (id_column,)
    specs = run.run_spec.specs
    answers = {task: AnswerColumns.of_task(specs[task], prefix, each_class) for task in reads}
    check_names(answers.values(), "--tasks")
    columns = TableColumns(reads, kept, answers)
    if clash := [name for name in columns.added if name in kept]:
        found = f"columns named as predictions are: {one_of(clash)}"
        allowed = "other names; --prefix=predicted_ names the predictions otherwise"
        raise UserError(table.name, found, allowed)
    _log_reads(run, table, named, chosen, reads)
    return columns


def read_for(run: LoadedRun, table: InputTable, named: Named) -> InputTable:
    """The table as the run reads it.

    Where a text table has no column for any task, the delimiters of the run's own files are tried.
    A .txt file is a table if its first line names such a column or has a tab.
    """
    formats = [run.run_spec.specs[task].format.delimiter for task in run.tasks]
    delimiters = list(filter(None, dict.fromkeys(formats)))
    if isinstance(table.file, PlainText):
        return _table_of_text(run, table, table.file, named, ["\t", *delimiters, ",", ";"])
    if table.file.kind != DELIMITED or table.file.delimiter or _reads(run, table, named, run.tasks):
        return table
    for delimiter in delimiters:
        with suppress(UserError):  # what is wrong with this reading of the file is of no interest
            other = open_input(table.path, delimiter, table.file.quoting, table.name)
            if _reads(run, other, named, run.tasks):
                log.info("%s: fields are separated by %r", table.name, delimiter)
                return other
    return table


def _table_of_text(
    run: LoadedRun, table: InputTable, text: PlainText, named: Named, delimiters: Sequence[str]
) -> InputTable:
    """The table in a .txt file, or its plain text."""
    line = text.first_line()
    options = [o for task in run.tasks for o in _options(run.run_spec.specs[task], named)]
    names = list(dict.fromkeys(name for own in options for name in own if name is not None))
    for delimiter in delimiters:
        cells = {cell.strip().strip('"') for cell in line.split(delimiter)}
        if not cells.isdisjoint(names):
            return open_input(text.path, delimiter, text.quoting, table.name)
    if "\t" in line:
        return open_input(text.path, "\t", text.quoting, table.name)
    if line:
        start = repr(line if len(line) <= _SHOWN else f"{line[:_SHOWN]}...")
        message = "%s: plain text, a text in each line (the first, %s, names no column %s)"
        log.info(message, table.name, start, " or ".join(names))
    return table


def _reads(
    run: LoadedRun, table: InputTable, named: Named, tasks: Iterable[str]
) -> dict[str, TextColumns]:
    """The columns that tasks read, without the tasks whose columns the table lacks."""
    reads = {}
    for task in tasks:
        options = _options(run.run_spec.specs[task], named)
        if (own := next((o for o in options if not _absent(table, o)), None)) is not None:
            reads[task] = own
    return reads


def _options(spec: TaskSpec, named: Named) -> list[TextColumns]:
    """The columns that a task may read: those of its training first, then the common ones."""
    own = TextColumns(spec.columns.text, spec.columns.text_pair)
    options = [
        TextColumns(named[0] or text, (named[1] or pair) if spec.is_pair else None)
        for text, pair in (own, _COMMON)
    ]
    return list(dict.fromkeys(options))


def _absent(table: InputTable, columns: TextColumns) -> list[str]:
    return [name for name in columns if name is not None and name not in table.columns]


def _lacking(table: InputTable, options: Sequence[TextColumns]) -> tuple[str, ...]:
    """The option for a column that a task lacks, and the names that would do."""
    for option, column in zip(("--text", "--text-pair"), zip(*options, strict=True), strict=True):
        names = [name for name in dict.fromkeys(column) if name is not None]
        if names and not set(names) & set(table.columns):
            return option, *names
    absent = _absent(table, options[0])[0]  # there is one column of these and one of the others
    return "--text" if absent == options[0].text else "--text-pair", absent


def _log_reads(
    run: LoadedRun,
    table: InputTable,
    named: Named,
    tasks: Iterable[str],
    reads: Mapping[str, TextColumns],
) -> None:
    """Says which tasks are left out, and which read columns that only their training named."""
    left_out = defaultdict[tuple[str, ...], list[str]](list)
    trained = defaultdict[TextColumns, list[str]](list)
    for task in tasks:
        if (own := reads.get(task)) is None:
            left_out[_lacking(table, _options(run.run_spec.specs[task], named))].append(task)
        elif named == (None, None) and own not in (_COMMON, TextColumns(_COMMON.text, None)):
            trained[own].append(task)
    for own, names in trained.items():
        columns = " and ".join(filter(None, own))
        log.info("read as in training: %s for %s", columns, one_of(names))
    for (option, *choices), names in left_out.items():
        message = "left out: %s, for want of a column %s (%s)"
        log.info(message, one_of(names), " or ".join(choices), option)
