"""Finds labels from which nothing can be learnt, or on which a metric is undefined."""

import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mtl_sharing.data.examples.examples import Label, LoadedExamples
from mtl_sharing.data.examples.source_tables import check_columns, open_tables
from mtl_sharing.data.tables.files import LineCounts
from mtl_sharing.data.tasks.sources import Source
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.errors import UserError, one_of

log = logging.getLogger(__name__)

_MOST_NAMES = 10
Counts = Mapping[str, Counter[Label]]


def warn_of_labels(task: TaskSpec, splits: Mapping[str, LoadedExamples]) -> None:
    """Logs a warning of each of :func:`label_problems`."""
    for problem in label_problems(task, splits):
        log.warning("%s", problem)


def label_problems(task: TaskSpec, splits: Mapping[str, LoadedExamples]) -> list[str]:
    """Sentences on classes that a split lacks, and on splits whose labels are all equal.

    Args:
        splits: train, dev and, if examples are held out to choose by, select. A sentence names
            the limit on rows that one reached as a possible cause.
    """
    problems = []
    counts = {s: Counter(e.label for e in loaded.examples) for s, loaded in splits.items()}
    for split, labels in counts.items():
        limit = splits[split].limit
        key = f"suite.max_{split}_rows"
        cause = "" if limit is None else f"; {key}={limit} takes the first rows: shuffle the file"
        if len(labels) == 1:
            problems.append(_one_label(task, split, labels) + cause)
        elif absent := [number for number in range(task.classes or 0) if not labels[number]]:
            problems.append(_absent_classes(task, split, absent, counts) + cause)
    return problems


def unknown_labels(source: Source, split: str, data_dir: Path | None) -> Counter[str]:
    """Counts the rows of a source whose label the task lacks, by what an error says of them.

    Counts those up to the first row that cannot be read, or the first file.
    """
    counts = Counter[str]()
    with suppress(UserError):
        for table in open_tables(source, split, data_dir, LineCounts()):
            check_columns(source, split, table)
            for record in table.records:
                try:
                    source.labels.read_cell(record.fields.get(source.columns.label), table.path)
                except UserError as error:
                    counts[str(error.found)] += 1
    return counts


def _one_label(task: TaskSpec, split: str, labels: Counter[Label]) -> str:
    ((label, count),) = labels.items()
    if task.classes is None:
        return f"{task.name}: all {count:,} {split} labels are {label:g}, a constant"
    absent = _names(task, [number for number in range(task.classes) if number != label])
    name = _names(task, [int(label or 0)])
    return f"{task.name}: {split} has one class alone, {name} ({count:,} examples), and no {absent}"


def _absent_classes(task: TaskSpec, split: str, absent: list[int], counts: Counts) -> str:
    others = [
        f"{other} has {sum(labels[number] for number in absent):,}"
        for other, labels in counts.items() if other != split
    ]  # fmt: skip
    names, size = _names(task, absent), counts[split].total()
    where = f"{task.name}: {split} ({size:,} examples)"
    return f"{where} has no example of {names}; {one_of(others)}"


def _names(task: TaskSpec, classes: list[int]) -> str:
    """The classes by name or number, at most 10 of them."""
    names = task.labels or tuple(f"class {number}" for number in range(task.classes or 0))
    more = f" and {len(classes) - _MOST_NAMES} more" if len(classes) > _MOST_NAMES else ""
    return one_of(names[number] for number in classes[:_MOST_NAMES]) + more
