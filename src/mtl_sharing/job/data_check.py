"""Reads the data of all tasks as a training does, and counts what is in them: data.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtl_sharing.config.interpolations import hide
from mtl_sharing.data.examples.examples import LoadedExamples, normalized_texts
from mtl_sharing.data.examples.label_counts import label_problems
from mtl_sharing.data.examples.repeats import Input, KnownTexts, count_repeats
from mtl_sharing.data.examples.splits import is_generated, read_split
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.data.tokens.encoding import TextEncoder, clean_splits, encode_splits, source_facts
from mtl_sharing.errors import UserError
from mtl_sharing.evaluation.metrics import floor
from mtl_sharing.job.data_mistakes import Loaded, different, read_tasks
from mtl_sharing.job.inputs import hold_out_examples, make_tokenizer, ranked_pairs, token_store
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.run_folder.results import SCHEMA, Result

TRAIN, SELECT, DEV, TEST = _SPLITS = ("train", "select", "dev", "test")


@dataclass(frozen=True)
class DataCheck:
    """The facts of all tasks' data, and their mistakes.

    Attributes:
        record: the content of data.json.
        mistakes: everything that a training would stop at.
    """

    record: Result
    mistakes: tuple[UserError, ...]


def check_data(run_spec: RunSpec) -> DataCheck:
    """Reads, cleans and tokenises the data of all tasks; writes nothing but the cache of tokens.

    Train and dev are read as by a training, which reads no test split. A test split that cannot be
    read is therefore a warning. Tasks with a mistake are left out of the record.
    """
    loaded, mistakes = read_tasks(run_spec)
    tasks: Result = {}
    try:
        tasks = _describe_tasks(run_spec, loaded) if loaded else {}
    except UserError as error:
        mistakes.append(error)
    shown = different(run_spec, mistakes)
    record = {
        "schema": SCHEMA,
        "max_length": run_spec.text.max_length,
        "tasks": tasks,
        "left_out": [name for name in run_spec.specs if name not in tasks],
        "mistakes": [str(error) for error in shown],
    }
    return DataCheck(record, shown)


def _describe_tasks(run_spec: RunSpec, loaded: Loaded) -> Result:
    """The facts of each task's data.

    Raises:
        UserError: examples that cannot be held out, cleaned, tokenised or ranked.
    """
    hold_out_examples(run_spec, loaded)
    tasks: Result = {}
    for name, splits in loaded.items():
        task = run_spec.specs[name]
        tasks[name] = {"kind": task.kind, "metric": task.metric}
        tasks[name]["warnings"] = label_problems(task, splits)
        if task.sources:
            tasks[name]["sources"] = source_facts(splits)
        tasks[name]["warnings"] += _add_test(run_spec, task, splits)
    encoded = _encode(run_spec, loaded)
    inputs = {
        name: {s: [normalized_texts(e) for e in part.examples] for s, part in splits.items()}
        for name, splits in loaded.items()
    }
    known = {name: KnownTexts.of(splits[TRAIN]) for name, splits in inputs.items()}
    for name, splits in loaded.items():
        tasks[name]["splits"] = {
            split: _split_facts(run_spec, run_spec.specs[name], splits[split], encoded[split][name])
            | _repeats(name, split, inputs[name][split], splits[split], known)
            for split in _SPLITS
            if split in splits
        }
        for split in (SELECT, DEV):
            if split in splits:
                tasks[name]["splits"][split]["floor"] = _floor(run_spec, name, encoded[split][name])
    return tasks


def _add_test(run_spec: RunSpec, task: TaskSpec, splits: dict[str, LoadedExamples]) -> list[str]:
    """Adds the task's test split, if it has one; returns why it cannot be read."""
    config = run_spec.config
    if task.test or is_generated(task):
        try:
            splits[TEST] = read_split(task, TEST, config.suite, config.data_dir)
        except UserError as error:
            reason = hide(str(error), run_spec.hidden)
            return [f"{task.name}: the test split, which no training reads, is left out: {reason}"]
    return []


def _encode(run_spec: RunSpec, loaded: Loaded) -> dict[str, dict[str, EncodedTask]]:
    """Cleans the examples in place; returns each split's tokenised tasks."""
    store = token_store(run_spec)
    clean_splits(run_spec.text, loaded, store)
    examples = {
        split: {name: splits[split].examples for name, splits in loaded.items() if split in splits}
        for split in _SPLITS
    }
    tokenizer = make_tokenizer(run_spec, examples[TRAIN])
    encoder = TextEncoder(run_spec.text, tokenizer, store)
    encoded = encode_splits(encoder, run_spec.specs, run_spec.joined, examples.values())
    if len(loaded) == len(run_spec.specs):
        ranked_pairs(run_spec, examples[TRAIN], tokenizer)
    return dict(zip(_SPLITS, encoded, strict=True))


def _split_facts(
    run_spec: RunSpec, task: TaskSpec, loaded: LoadedExamples, data: EncodedTask
) -> Result:
    lengths = np.concatenate([part.lengths for part in data.parts])
    half, most = np.quantile(lengths, (0.5, 0.95), method="inverted_cdf").tolist()
    reasons = loaded.reasons.most_common()
    return {
        "rows": len(loaded.examples) + loaded.bad_rows,
        "examples": len(loaded.examples),
        "skipped": {hide(reason, run_spec.hidden): count for reason, count in reasons},
        "limit": loaded.limit,
        "labels": _label_facts(task, data),
        "texts": len(lengths),
        "cut_texts": data.truncated,
        "tokens": {"median": half, "p95": most, "longest": int(lengths.max())},
    }


def _label_facts(task: TaskSpec, data: EncodedTask) -> Result:
    """Counts by class, or the range and mean of the scores; and the number without a label."""
    labels = data.labels[~np.isnan(data.labels)]
    facts: Result = {"unlabelled": len(data) - len(labels)}
    if task.classes is not None:
        names = task.labels or [str(number) for number in range(task.classes)]
        counts = np.bincount(labels.astype(int), minlength=task.classes).tolist()
        facts["classes"] = dict(zip(names, counts, strict=True))
    elif len(labels):
        facts["scores"] = {
            "lowest": float(labels.min()),
            "mean": float(labels.mean()),
            "highest": float(labels.max()),
        }
    return facts


def _floor(run_spec: RunSpec, name: str, data: EncodedTask) -> float:
    """The value of the task's metric that a constant answer reaches."""
    measure = run_spec.measures[name]
    return floor(measure.metric, measure.kind, data.labels, measure.classes)


def _repeats(
    name: str,
    split: str,
    inputs: list[Input],
    loaded: LoadedExamples,
    known: Mapping[str, KnownTexts],
) -> Result:
    """Numbers of examples that repeat one of their own split, or of a train split.

    Args:
        known: the texts of each task's train split. Those of other tasks are compared with dev.
    """
    repeated, relabelled = count_repeats(inputs, (example.label for example in loaded.examples))
    facts: dict[str, Any] = {"repeated": repeated, "repeated_with_another_label": relabelled}
    if split != TRAIN:
        facts["in_train"], facts["with_a_text_in_train"] = known[name].count(inputs)
    if split == DEV:
        others = {other: texts.count(inputs)[1] for other, texts in known.items() if other != name}
        facts["with_a_text_in_train_of"] = {other: n for other, n in others.items() if n}
    return facts
