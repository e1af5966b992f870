"""A task as it is guessed from its files: its config, its examples, and what was assumed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tables.cells import as_number, cell_text
from mtl_sharing.data.tables.tables import Record
from mtl_sharing.data.tasks.sources import ColumnsConfig, FormatConfig
from mtl_sharing.data.tasks.task import TaskConfig, TaskSpec, task_spec
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.init.columns import describe_column, label_text
from mtl_sharing.init.guess import Guess, Labels, Wanted, guess_columns, guess_labels
from mtl_sharing.init.names import TaskFiles
from mtl_sharing.init.tables import DataTable
from mtl_sharing.utils.files import short_path


@dataclass(frozen=True)
class Draft:
    """A task that is to be written.

    Attributes:
        tables: its tables, by split; without a test table whose labels are hidden.
        counts: rows of each class name or score, in all tables.
    """

    files: TaskFiles
    tables: Mapping[str, DataTable]
    guess: Guess
    labels: Labels
    counts: Counter[str]

    @property
    def name(self) -> str:
        """The task's name."""
        return self.files.name

    @property
    def config(self) -> TaskConfig:
        """The task without its files."""
        guess, labels = self.guess, self.labels
        return TaskConfig(
            kind=labels.kind,
            columns=ColumnsConfig(guess.text, guess.text_pair, guess.label, guess.id),
            format=_format_of(self.tables.values()),
            classes=labels.classes,
            labels=None if labels.labels is None else list(labels.labels),
            range=None if labels.range is None else list(labels.range),
        )

    @property
    def has_numbered_classes(self) -> bool:
        """Whether more than two classes have numbers as labels, which could be scores as well."""
        return self.labels.kind == "classes" and None not in map(as_number, self.counts)

    @cached_property
    def rows(self) -> dict[str, list[tuple[Record, Example]]]:
        """The usable rows of each table: with a text and, but for test, a label.

        Raises:
            UserError: a table without any.
        """
        spec = task_spec(self.name, self.config)
        rows = {split: list(_usable(spec, table, split == "test"))
                for split, table in self.tables.items()}  # fmt: skip
        for split, usable in rows.items():
            if not usable:
                path, columns = self.tables[split].path, spec.columns
                needed = filter(None, (columns.text, columns.text_pair, columns.label))
                found = f"no row with a value in each of {one_of(needed)}"
                raise UserError(str(short_path(path)), found, "one usable row or more")
        return rows

    def skipped(self, split: str) -> int:
        """Rows of a table that lack a text or a label, or have too many fields."""
        return len(self.tables[split].records) - len(self.rows[split])


def _usable(spec: TaskSpec, table: DataTable, is_test: bool) -> Iterable[tuple[Record, Example]]:
    columns, reader = spec.columns, spec.own.labels
    for record in table.records:
        text = cell_text(record.fields.get(columns.text))
        pair = cell_text(record.fields.get(columns.text_pair)) if columns.text_pair else None
        where = f"{table.path}:{record.line}"
        label = reader.read_cell(record.fields.get(columns.label), where)
        is_whole = text is not None and (pair is not None or not spec.is_pair)
        if record.problem is None and is_whole and (label is not None or is_test):
            assert text is not None
            yield record, Example(where, text, pair, label)


def draft_task(files: TaskFiles, tables: Mapping[str, DataTable], wanted: Wanted) -> Draft:
    """Guesses a task from its tables.

    Raises:
        UserError: tables in which no text or no label is found, or which do not fit together.
    """
    where, train = str(short_path(files.train)), tables["train"]
    columns = [describe_column(name, train.records) for name in train.columns]
    guess = guess_columns(where, columns, wanted)
    for split, table in tables.items():
        _check_like_train(table, train, guess, split)
    counts = sum((_labels(tables[split], guess) for split in ("train", "dev") if split in tables),
                 Counter[str]())  # fmt: skip
    test = _labels(tables["test"], guess) if "test" in tables else Counter[str]()
    # Hidden labels are often a number such as -1 in each row, which no reader takes for a label.
    if len(test) == 1 and not set(test) & set(counts):
        tables = {split: table for split, table in tables.items() if split != "test"}
        test.clear()
    counts += test
    return Draft(files, tables, guess, guess_labels(guess.label, counts), counts)


def _labels(table: DataTable, guess: Guess) -> Counter[str]:
    cells = (r.fields.get(guess.label) for r in table.records if r.problem is None)
    return Counter(text for text in map(label_text, cells) if text is not None)


def _check_like_train(table: DataTable, train: DataTable, guess: Guess, split: str) -> None:
    """Raises UserError where a table lacks train's columns or has another format."""
    where = str(short_path(table.path))
    needed = [guess.text, guess.text_pair, guess.label if split != "test" else None]
    for name in filter(None, needed):
        if name not in table.columns:
            found = f"no column {name!r}, which {train.path.name} has"
            raise UserError(where, found, one_of(table.columns))
    if table.is_delimited and train.is_delimited and table.format != train.format:
        found = f"another delimiter or header than {train.path.name}'s"
        raise UserError(where, found, "files of one form")


def _format_of(tables: Iterable[DataTable]) -> FormatConfig:
    return next((table.format for table in tables if table.is_delimited), FormatConfig())
