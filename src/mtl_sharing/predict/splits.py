"""Predicts the tasks' own files of a split, a file for each task."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.examples.splits import is_generated, read_split
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.evaluation.evaluate import Answers
from mtl_sharing.evaluation.metrics import task_metrics
from mtl_sharing.predict.cs224n import CS224N, course_file, write_course_file
from mtl_sharing.predict.inputs import CHUNK
from mtl_sharing.predict.loaded_run import LoadedRun, named_tasks
from mtl_sharing.predict.predictor import readable, rounded
from mtl_sharing.predict.writers import PARQUET_NAME, table_writer
from mtl_sharing.run_folder.layout import HYDRA_JOB
from mtl_sharing.utils.progress import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitScore:
    """What a task reaches on a split: its metric, and over how many labelled examples."""

    task: str
    metric: str
    value: float
    examples: int


def split_files(
    run: LoadedRun, split: str, tasks: Sequence[str] | None, kind: str
) -> dict[str, str]:
    """The name of the file that each task's predictions go to.

    Args:
        split: ``dev`` or ``test``.
        tasks: some of the run's; None takes all that have files of the split.
        kind: of the files: a format of a table, or ``cs224n``.

    Raises:
        UserError: tasks that the run, the split or the format has not.
    """
    specs = run.run_spec.specs
    chosen = named_tasks(run, tasks)
    if tasks is None:
        chosen = tuple(name for name in chosen if _has(specs[name], split))
        left = [name for name in run.tasks if name not in chosen]
        if left and chosen:
            log.info("left out: %s, which have no %s files", one_of(left), split)
    if not chosen:
        allowed = "another split, or --input FILE"
        raise UserError("--split", f"{split}, of which no task has files", allowed)
    if kind == CS224N:
        return {name: course_file(specs[name], split) for name in chosen}
    return {name: f"{name}-{split}.{kind}" for name in chosen}


def _has(spec: TaskSpec, split: str) -> bool:
    return is_generated(spec) or any(
        source.files.get(split) for source in (spec.own, *spec.sources)
    )


def read_examples(
    run: LoadedRun, split: str, tasks: Sequence[str], data_dir: str | None, own: bool
) -> dict[str, list[Example]]:
    """The examples of a split of each task, all there are.

    Args:
        data_dir: folder that the tasks' files are in; None takes the run's.
        own: leave out the rows of named sources.

    Raises:
        UserError: files that are missing or bad.
    """
    run_spec = run.run_spec
    place = _data_dir(run) if data_dir is None else data_dir
    limit = run_spec.config.suite.max_dev_rows
    if split == "dev" and limit is not None:
        log.info("all of dev, of which the run itself saw the first %d rows", limit)
    found = {}
    for name in tasks:
        spec = run_spec.specs[name]
        spec = replace(spec, sources=()) if own and not is_generated(spec) else spec
        if not _has(spec, split):
            raise UserError(f"task.{name}.{split}", "no files", "another split, or other --tasks")
        found[name] = read_split(spec, split, run_spec.config.suite, place).examples
    return found


def _data_dir(run: LoadedRun) -> str | None:
    """The run's own, which meant what it did where the run was started."""
    data_dir, hydra = run.run_spec.config.data_dir, run.folder / HYDRA_JOB
    if data_dir is None or not hydra.is_file():
        return data_dir
    started = OmegaConf.select(OmegaConf.load(hydra), "hydra.runtime.cwd")
    here = Path(str(started)) / Path(data_dir).expanduser()
    return str(here) if started and here.is_dir() else data_dir


def predict_examples(
    run: LoadedRun, task: str, examples: Sequence[Example], batch_size: int, progress: Progress
) -> Answers:
    """What the run says of a task's examples."""
    parts = []
    for start in range(0, len(examples), CHUNK):
        chunk = examples[start : start + CHUNK]
        pairs = [e.text_pair for e in chunk] if run.run_spec.specs[task].is_pair else None
        texts = [example.text for example in chunk]
        parts.append(run.predictor.predict(texts, pairs, [task], batch_size)[task])
        progress.advance(len(chunk))
    known = [part.probability for part in parts if part.probability is not None]
    return Answers(
        np.concatenate([part.values for part in parts]),
        np.concatenate(known) if known else None,
        np.concatenate([part.error for part in parts]),
    )


def score(run: LoadedRun, task: str, labels: NDArray[np.float64], found: Answers) -> SplitScore:
    """What predictions are worth, by the task's metric; labels are NaN where unknown."""
    measure, known = run.run_spec.measures[task], ~np.isnan(labels)
    figures = task_metrics(measure.kind, found.values[known], labels[known], measure.classes)
    return SplitScore(task, measure.metric, figures[measure.metric], int(known.sum()))


def labels_of(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Labels as numbers, NaN where there is none."""
    return np.array([np.nan if e.label is None else e.label for e in examples], dtype=float)


def write_split(
    path: Path, kind: str, spec: TaskSpec, examples: Sequence[Example], found: Answers
) -> None:
    """Replaces a task's file of predictions.

    Columns: id, label (where any is known), prediction (both by the label's name where it has
    one), probability (of classes).
    """
    if kind == CS224N:
        write_course_file(path, spec, examples, found)
        return
    labels = labels_of(examples)
    columns: dict[str, list[Any]] = {"id": [example.id for example in examples]}
    if not np.isnan(labels).all():
        columns["label"] = readable(spec, replace(found, values=labels))
    columns["prediction"] = readable(spec, found)
    if found.probability is not None:
        columns["probability"] = [rounded(value) for value in found.probability]
    fields = None
    if kind == PARQUET_NAME:
        import pyarrow as pa

        fields = [pa.field(name, pa.array(values).type) for name, values in columns.items()]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    with table_writer(path, kind, list(columns), fields) as write:
        write(rows)
