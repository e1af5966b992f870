"""Truth tables: the performance of every split with every seed, in a CSV file."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from benchmarks.search.problems import MeasuredSource, Problem, smoothed
from benchmarks.search.suites import TRUTH, Suite
from mtl_sharing.errors import UserError
from mtl_sharing.utils.files import read_bytes, replace_text

_END = "end"
LEAST_SEEDS = 2
"""Seeds that a table needs to be replayed on."""
_DIGITS = 5


@dataclass(frozen=True)
class Trained:
    """One finished training.

    Attributes:
        performance, floor: on the part held out of train; the floor is a constant answer's.
        dev, dev_floor: on dev.
        seconds: of its steps.
        parameters, time, training: cost relative to separate models: weights, operations of a
            prediction, operations of a training step.
        evaluations: performance at each percent of the training, on the part held out.
    """

    performance: float
    dev: float
    floor: float
    dev_floor: float
    seconds: float
    parameters: float
    time: float
    training: float
    evaluations: Mapping[int, float] = field(default_factory=dict)


_VALUES = tuple(f.name for f in fields(Trained) if f.name != "evaluations")
COLUMNS = ("split", "seed", "percent", *_VALUES)
"""The columns of a table. A training has a row for each evaluation, then one with ``end``."""
Cell = tuple[int, int]
"""Split and seed."""


@dataclass
class TruthTable:
    """The finished trainings of a suite.

    Attributes:
        made_with: the settings of the trainings and the version of their results, in one line.
    """

    path: Path
    made_with: str
    trained: dict[Cell, Trained] = field(default_factory=dict)

    def write(self) -> None:
        """Replaces the file, by split and seed."""
        text = io.StringIO()
        text.write(f"# {self.made_with}\n")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for (split, seed), one in sorted(self.trained.items()):
            for percent, value in one.evaluations.items():
                performance = _rounded(value)
                writer.writerow(
                    {"split": split, "seed": seed, "percent": percent, "performance": performance}
                )
            values = {name: _rounded(getattr(one, name)) for name in _VALUES}
            writer.writerow({"split": split, "seed": seed, "percent": _END, **values})
        replace_text(self.path, text.getvalue())


def _rounded(value: float) -> float:
    return round(value, _DIGITS)


def table_path(name: str) -> Path:
    """The file of the table of this name."""
    return TRUTH / f"{name}.csv"


def read_table(path: Path) -> TruthTable:
    """Reads a truth table.

    Raises:
        UserError: the file is missing, or a line of it is damaged; the message names the line.
    """
    try:
        lines = read_bytes(path).decode("utf-8").splitlines()
    except FileNotFoundError:
        allowed = f"a table, which --build {path.stem} makes"
        raise UserError(str(path), "no file", allowed) from None
    except UnicodeDecodeError as error:
        raise UserError(str(path), f"bytes that are no text ({error.reason})", "CSV") from None
    if len(lines) < 2 or not lines[0].startswith("# "):
        raise UserError(f"{path}:1", repr("".join(lines[:1])), "# and the table's settings")
    if lines[1] != ",".join(COLUMNS):
        raise UserError(f"{path}:2", repr(lines[1]), ",".join(COLUMNS))
    table = TruthTable(path, lines[0].removeprefix("# "))
    reader = _Reader(table)
    for number, row in enumerate(csv.reader(lines[2:]), 3):
        reader.add(f"{path}:{number}", row)
    reader.close(f"{path}:{len(lines)}")
    return table


@dataclass
class _Reader:
    """Collects the rows of one training after the other."""

    table: TruthTable
    cell: Cell | None = None
    evaluations: dict[int, float] = field(default_factory=dict)

    def add(self, where: str, row: Sequence[str]) -> None:
        """Takes the next row."""
        if len(row) != len(COLUMNS):
            raise UserError(where, f"{len(row)} values", f"{len(COLUMNS)} values")
        values = dict(zip(COLUMNS, row, strict=True))
        cell = int(_number(where, values, "split")), int(_number(where, values, "seed"))
        if self.cell not in (None, cell):
            self.close(where)
        if cell in self.table.trained:
            raise UserError(where, f"split {cell[0]}, seed {cell[1]} twice", "each once")
        self.cell = cell
        if values["percent"] != _END:
            percent = int(_number(where, values, "percent"))
            self.evaluations[percent] = _number(where, values, "performance")
            return
        numbers = {name: _number(where, values, name) for name in _VALUES}
        self.table.trained[cell] = Trained(**numbers, evaluations=self.evaluations)
        self.cell, self.evaluations = None, {}

    def close(self, where: str) -> None:
        """Checks that no training is left without its end."""
        if self.cell is not None:
            found = f"split {self.cell[0]}, seed {self.cell[1]} without its row '{_END}'"
            raise UserError(where, found, "every training with its end; or remove its rows")


def _number(where: str, values: Mapping[str, str], name: str) -> float:
    try:
        value = float(values[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}, {name}", repr(values[name]), "a finite number")
    return value


def measured_source(table: TruthTable, suite: Suite) -> MeasuredSource:
    """The problem of a table, of the seeds that every split was trained with.

    Raises:
        UserError: fewer than two such seeds, or trainings that were evaluated at other times.
    """
    splits = suite.splits
    seeds = complete_seeds(table, suite)
    if len(seeds) < LEAST_SEEDS:
        found = f"{len(seeds)} seeds with all {len(splits)} splits"
        raise UserError(str(table.path), found, f"{LEAST_SEEDS} or more: --build {suite.name}")
    rows = [[table.trained[split, seed] for seed in seeds] for split in splits]
    percents = {tuple(one.evaluations) for row in rows for one in row}
    if len(percents) > 1:
        raise UserError(str(table.path), "evaluations at other percents", "the same in all")
    trained = np.array([[one.performance for one in row] for row in rows])
    evaluations = np.array([[[*one.evaluations.values()] for one in row] for row in rows])
    costs = np.array([row[0].parameters * row[0].time for row in rows])
    trainings = np.array([row[0].training for row in rows])
    problem = Problem(splits, smoothed(splits, trained.mean(axis=1)), costs, trainings)
    return MeasuredSource(_title(table, suite, len(seeds)), problem, trained, evaluations,
                          percents.pop())  # fmt: skip


def complete_seeds(table: TruthTable, suite: Suite) -> list[int]:
    """The seeds with which every split has been trained."""
    seeds = sorted({seed for _, seed in table.trained})
    return [s for s in seeds if all((split, s) in table.trained for split in suite.splits)]


def _title(table: TruthTable, suite: Suite, seeds: int) -> str:
    unused = len(table.trained) - seeds * len(suite.splits)
    if seeds >= suite.seeds:
        return f"{suite.name}, {seeds} seeds"
    apart = f" (trainings of others: {unused})" if unused else ""
    return f"{suite.name}, partial: {seeds} of {suite.seeds} seeds{apart}"


def missing_cells(table: TruthTable, suite: Suite, seeds: int) -> Iterator[Cell]:
    """The trainings that a table lacks, seed by seed, so that a partial table has whole seeds."""
    for seed in range(seeds):
        yield from ((s, seed) for s in suite.splits if (s, seed) not in table.trained)
