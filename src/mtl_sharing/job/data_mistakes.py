"""Reads the examples of all tasks, and finds everything in the files that a training stops at."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mtl_sharing.data.examples.examples import LoadedExamples, load_examples
from mtl_sharing.data.examples.label_counts import unknown_labels
from mtl_sharing.data.examples.splits import read_split
from mtl_sharing.data.tasks.sources import OWN
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.job.hiding import hidden_error
from mtl_sharing.job.inputs import row_limits
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.utils.logging import log_level

_MOST_LABELS = 10
Loaded = dict[str, dict[str, LoadedExamples]]


def read_tasks(run_spec: RunSpec) -> tuple[Loaded, list[UserError]]:
    """Train and dev of the tasks without a mistake, and the mistakes in the others."""
    loaded: Loaded = {}
    mistakes: list[UserError] = []
    for name, task in run_spec.specs.items():
        splits, found = _read(run_spec, task)
        mistakes += found
        if not found:
            loaded[name] = splits
    return loaded, mistakes


def different(run_spec: RunSpec, mistakes: Sequence[UserError]) -> tuple[UserError, ...]:
    """The mistakes, each one once: tasks may have a folder or file in common.

    Texts of interpolated keys stand in place of their values.
    """
    first: dict[tuple[str, str], UserError] = {}
    for error in mistakes:
        first.setdefault((error.where, str(error.found)), error)
    return tuple(hidden_error(error, run_spec.hidden) for error in first.values())


def as_one(mistakes: Sequence[UserError]) -> UserError:
    """One error that names every mistake."""
    if len(mistakes) == 1:
        return mistakes[0]
    listed = "\n".join(f"  {mistake}" for mistake in mistakes)
    return UserError("the data", f"{len(mistakes)} mistakes", f"none\n{listed}")


def _read(run_spec: RunSpec, task: TaskSpec) -> tuple[dict[str, LoadedExamples], list[UserError]]:
    suite, data_dir = run_spec.config.suite, run_spec.config.data_dir
    splits, mistakes = {}, []
    for split, limit in row_limits(run_spec).items():
        try:
            splits[split] = read_split(task, split, suite, data_dir, limit)
        except UserError as first:
            with log_level("mtl_sharing", logging.ERROR):  # each source is read a second time
                mistakes += list(_mistakes(run_spec, task, split, limit)) or [first]
    return splits, mistakes


def _mistakes(
    run_spec: RunSpec, task: TaskSpec, split: str, limit: int | None
) -> Iterator[UserError]:
    """The first mistake of each source of a split; that of an unknown label counts all of them."""
    folder = None if (name := run_spec.config.data_dir) is None else Path(name)
    for source in (task.own, *task.sources):
        if not source.files.get(split):
            continue
        if source.name == OWN:
            alone = replace(task, sources=())
        else:
            alone = replace(task, train=(), dev=(), test=(), sources=(source,))
        try:
            load_examples(alone, split, folder, run_spec.config.suite.on_bad_row, limit)
        except UserError as error:
            # With a limit a training may not reach the other rows.
            labels = unknown_labels(source, split, folder) if limit is None else {}
            yield _with_labels(error, labels)


def _with_labels(error: UserError, unknown: Mapping[str, int]) -> UserError:
    """The error of an unknown label, with the number of rows that have any; else the error."""
    found, rows = str(error.found), sum(unknown.values())
    if found not in unknown or rows == 1:
        return error
    texts = [f"{label.removeprefix('the label ')} ({count:,})" for label, count in unknown.items()]
    more = "" if len(texts) <= _MOST_LABELS else f" and {len(texts) - _MOST_LABELS:,} others"
    listed = f"{one_of(texts[:_MOST_LABELS])}{more}"
    found = f"{found}, the first of {rows:,} rows with an unknown label: {listed}"
    return UserError(error.where, found, error.allowed)
