"""Reads the examples of a split, from the task's files and sources or from a generator."""

import logging
from pathlib import Path

from mtl_sharing.data.examples.bundled import BUNDLED_LABELS, bundled_examples
from mtl_sharing.data.examples.bundled_lexicon import BUNDLED_TASKS
from mtl_sharing.data.examples.examples import Example, LoadedExamples, load_examples
from mtl_sharing.data.examples.planted import planted_examples
from mtl_sharing.data.settings import SuiteConfig
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.errors import UserError, one_of

log = logging.getLogger(__name__)

GENERATORS = {"bundled": bundled_examples, "planted": planted_examples}
"""The choices of ``suite.generator``; both generate tasks of the same names, kinds and labels."""


def is_generated(spec: TaskSpec) -> bool:
    """Whether a task names no file, so that ``suite.generator`` must generate its examples."""
    return not (spec.train or spec.dev or spec.test or spec.sources)


def read_split(
    spec: TaskSpec, split: str, suite: SuiteConfig, data_dir: str | None, limit: int | None = None
) -> LoadedExamples:
    """Reads the examples of one split, ``limit`` of each source; raises as ``load_examples``."""
    if is_generated(spec):
        return LoadedExamples(_generated(spec, split, suite)[:limit])
    folder = None if data_dir is None else Path(data_dir)
    loaded = load_examples(spec, split, folder, suite.on_bad_row, limit)
    if loaded.bad_rows:
        reasons = "; ".join(loaded.first_bad)
        log.warning("%s %s: %d rows skipped (%s)", spec.name, split, loaded.bad_rows, reasons)
    _log_counts(spec.name, split, loaded)
    return loaded


def _log_counts(task: str, split: str, loaded: LoadedExamples) -> None:
    """Logs what the lines of the files became, which adds up."""
    assert loaded.lines is not None  # only generated examples have none
    counts = loaded.lines.describe("examples", len(loaded.examples), loaded.bad_rows)
    by_reason = [f"{count:,} x {reason}" for reason, count in loaded.reasons.most_common(5)]
    reasons = f" ({'; '.join(by_reason)})" if by_reason else ""
    more = "" if loaded.limit is None else f"; suite.max_{split}_rows={loaded.limit} reached"
    log.info("%s %s: %s%s%s", task, split, counts, reasons, more)


def _generated(spec: TaskSpec, split: str, suite: SuiteConfig) -> list[Example]:
    """The generated examples of a split; the task must have its generator's kind and labels."""
    where = f"task.{spec.name}"
    if spec.name not in BUNDLED_TASKS:
        allowed = f"file names; only {one_of(BUNDLED_TASKS)} can be generated"
        raise UserError(f"{where}.{split}", "no files", allowed)
    kind, classes, limits = BUNDLED_LABELS[spec.name]
    if spec.kind != kind:
        raise UserError(f"{where}.kind", spec.kind, f"{kind}, or files of your own")
    if spec.classes is not None and spec.classes < classes:
        raise UserError(f"{where}.classes", spec.classes, f"{classes} or more")
    if spec.low is not None and spec.high is not None and limits != (spec.low, spec.high):
        raise UserError(f"{where}.range", [spec.low, spec.high], f"{list(limits)}")
    generate = GENERATORS[suite.generator]
    return generate(spec.name, split, suite.data_seed, suite.relatedness)
