"""Predicts the tasks' own files of a split, a file for each task."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.examples.splits import is_generated, read_split
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.evaluation.evaluate import Answers
from mtl_sharing.evaluation.metrics import task_metrics, undefined_metrics
from mtl_sharing.predict.answer_columns import AnswerColumns, numbers, readable
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.predict.table_files import CHUNK, CS224N, PARQUET_NAME, table_writer
from mtl_sharing.run_folder.discovery import start_folder
from mtl_sharing.utils.files import replace_text
from mtl_sharing.utils.progress import Progress

log = logging.getLogger(__name__)


class _CourseFile(NamedTuple):
    """Start of a task's file name in the CS 224N default project, header, and the task's kind."""

    name: str
    column: str
    kind: str
    integer: bool = False


# The course's own spelling.
_COURSE_FILES = {
    "sst": _CourseFile("sst", "Predicted_Sentiment", "classes", integer=True),
    "quora": _CourseFile("para", "Predicted_Is_Paraphrase", "binary"),
    "sts": _CourseFile("sts", "Predicted_Similiary", "regression"),
    "cfimdb": _CourseFile("cfimdb", "Predicted_Sentiment", "binary", integer=True),
}


def split_files(
    run: LoadedRun, split: str, tasks: Sequence[str] | None, kind: str
) -> dict[str, str]:
    """The file name of each task's predictions.

    Args:
        split: ``dev`` or ``test``.
        tasks: some of the run's tasks; None takes all that have files of the split.
        kind: of the files: a format of tables, or ``cs224n``.

    Raises:
        UserError: a task that the run or the format does not have, or no file of the split.
    """
    specs = run.run_spec.specs
    chosen = run.select_tasks(tasks)
    if tasks is None:
        left_out = [name for name in chosen if not _has_files(specs[name], split)]
        chosen = tuple(name for name in chosen if name not in left_out)
        if left_out and chosen:
            log.info("left out: %s, which have no %s files", one_of(left_out), split)
    if not chosen:
        allowed = "another split, or --input FILE"
        raise UserError("--split", f"{split}, of which no task has files", allowed)
    if kind == CS224N:
        return {name: _course_file(specs[name], split) for name in chosen}
    return {name: f"{name}-{split}.{kind}" for name in chosen}


def _course_file(spec: TaskSpec, split: str) -> str:
    """The name of a task's file in the course, such as ``para-dev-output.csv``."""
    file = _COURSE_FILES.get(spec.name)
    if file is None:
        allowed = f"--tasks with some of {one_of(_COURSE_FILES)}, or another format"
        raise UserError(f"--format {CS224N}", f"the task {spec.name}", allowed)
    if spec.kind != file.kind:
        found = f"the task {spec.name} of kind {spec.kind}"
        raise UserError(f"--format {CS224N}", found, f"kind {file.kind}, as in the course")
    return f"{file.name}-{split}-output.csv"


def _has_files(spec: TaskSpec, split: str) -> bool:
    sources = (spec.own, *spec.sources)
    return is_generated(spec) or any(source.files.get(split) for source in sources)


def read_examples(
    run: LoadedRun, split: str, tasks: Sequence[str], data_dir: str | None, own_files: bool
) -> dict[str, list[Example]]:
    """All examples of a split, by task.

    Args:
        data_dir: folder of the tasks' files; None takes the run's.
        own_files: leave out the rows of named sources.

    Raises:
        UserError: files that are missing or bad.
    """
    suite = run.run_spec.config.suite
    folder = _data_dir(run) if data_dir is None else data_dir
    if split == "dev" and suite.max_dev_rows is not None:
        log.info("all of dev, of which the run itself saw the first %d rows", suite.max_dev_rows)
    examples = {}
    for name in tasks:
        spec = run.run_spec.specs[name]
        if own_files and not is_generated(spec):
            spec = replace(spec, sources=())
        if not _has_files(spec, split):
            raise UserError(f"task.{name}.{split}", "no files", "another split, or other --tasks")
        examples[name] = read_split(spec, split, suite, folder).examples
    return examples


def _data_dir(run: LoadedRun) -> str | None:
    """The run's own data folder, relative to where the run was started."""
    data_dir = run.run_spec.config.data_dir
    started = None if data_dir is None else start_folder(run.folder)
    if data_dir is None or started is None:
        return data_dir
    folder = started / Path(data_dir).expanduser()
    return str(folder) if folder.is_dir() else data_dir


def predict_examples(
    run: LoadedRun, task: str, examples: Sequence[Example], batch_size: int, progress: Progress
) -> Answers:
    """Predicts a task's examples, some thousand at a time."""
    answers = Answers.missing(len(examples), run.run_spec.measures[task].classes)
    for start in range(0, len(examples), CHUNK):
        chunk = examples[start : start + CHUNK]
        pairs = [e.text_pair for e in chunk] if run.run_spec.specs[task].is_pair else None
        texts = [example.text for example in chunk]
        part = run.predictor.predict(texts, pairs, [task], batch_size)[task]
        answers.fill(slice(start, start + CHUNK), part)
        progress.advance(len(chunk))
    return answers


def score(
    run: LoadedRun, task: str, examples: Sequence[Example], answers: Answers
) -> tuple[str, str, float, int]:
    """The task, its metric's name and value, and the number of labelled examples."""
    labels, measure = _labels_of(examples), run.run_spec.measures[task]
    known = ~np.isnan(labels)
    predicted, labels = answers.values[known], labels[known]
    metrics = task_metrics(measure.kind, predicted, labels, measure.classes)
    why = undefined_metrics(measure.kind, predicted, labels).get(measure.metric)
    if why is not None:
        log.warning("%s: %s undefined on %d examples: %s", task, measure.metric, len(labels), why)
    return task, measure.metric, metrics[measure.metric], int(known.sum())


def _labels_of(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Labels as numbers, NaN where there is none."""
    return np.array([np.nan if e.label is None else e.label for e in examples], dtype=float)


def write_split(
    path: Path,
    kind: str,
    spec: TaskSpec,
    examples: Sequence[Example],
    answers: Answers,
    each_class: bool = True,
) -> None:
    """Replaces a task's file of predictions.

    Columns: id, label (where any is known), prediction (both by the label's name where it has
    one), probability (of the predicted class), probability_<class>.
    """
    if kind == CS224N:
        file = _COURSE_FILES[spec.name]
        lines = [f"id \t {file.column} \n"]
        values: list[Any] = numbers(answers.values)
        for example, value in zip(examples, values, strict=True):
            lines.append(f"{example.id} , {int(value) if file.integer else value} \n")
        replace_text(path, "".join(lines))
        return
    labels = _labels_of(examples)
    columns: dict[str, list[Any]] = {"id": [example.id for example in examples]}
    if not np.isnan(labels).all():
        columns["label"] = readable(spec, labels)
    columns |= AnswerColumns.of_file(spec, each_class).cells(answers)
    fields = None
    if kind == PARQUET_NAME:
        import pyarrow as pa

        fields = [pa.field(name, pa.array(values).type) for name, values in columns.items()]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    with table_writer(path, kind, list(columns), fields) as write:
        write(rows)
