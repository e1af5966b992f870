"""Statistics of each task's data, for its entry in result.json and for the log."""

import logging
from collections.abc import Mapping
from typing import Any

from mtl_sharing.data.examples.examples import LoadedExamples, SourceCount, shared_texts
from mtl_sharing.data.tokens.batches import EncodedTask

log = logging.getLogger(__name__)


def task_facts(
    splits: Mapping[str, LoadedExamples],
    train: EncodedTask,
    dev: EncodedTask,
    select: EncodedTask | None,
) -> dict[str, Any]:
    """Numbers of examples, of bad rows, of cut texts, and of dev examples that repeat train."""
    repeated, with_a_text = shared_texts(splits["train"].examples, splits["dev"].examples)
    return {
        "train_examples": len(train),
        "select_examples": 0 if select is None else len(select),
        "bad_rows": sum(loaded.bad_rows for loaded in splits.values()),
        "truncated_texts": sum(data.truncated for data in (train, dev, select) if data),
        "dev_examples_in_train": repeated,
        "dev_examples_with_a_text_in_train": with_a_text,
    }


def source_facts(splits: Mapping[str, LoadedExamples]) -> dict[str, dict[str, int]]:
    """Numbers of examples of each split, and of bad rows, for each source of a task."""
    none = SourceCount(0, 0)
    facts = {}
    for name in dict.fromkeys(name for loaded in splits.values() for name in loaded.sources):
        counts = {split: loaded.sources.get(name, none) for split, loaded in splits.items()}
        facts[name] = {f"{split}_examples": count.examples for split, count in counts.items()}
        facts[name]["bad_rows"] = sum(count.bad_rows for count in counts.values())
    return facts


def log_facts(name: str, facts: Mapping[str, Any], train: EncodedTask, dev: EncodedTask) -> None:
    """Logs a task's statistics, and warns of dev examples that repeat train."""
    cut = f", {facts['truncated_texts']} texts cut" if facts["truncated_texts"] else ""
    log.info(
        "%s: %d train and %d dev examples, %.0f tokens each on average%s",
        name, len(train), len(dev), train.lengths.mean(), cut,
    )  # fmt: skip
    if facts["select_examples"]:
        log.info("%s: %d more of train are held out to choose by", name, facts["select_examples"])
    for source, counts in facts.get("sources", {}).items():
        numbers = counts["train_examples"], counts["dev_examples"], counts["bad_rows"]
        log.info("%s from %s: %d train and %d dev examples, %d bad rows", name, source, *numbers)
    repeated = facts["dev_examples_in_train"], facts["dev_examples_with_a_text_in_train"]
    if any(repeated):
        log.warning(
            "%s: %d of %d dev examples are train examples too, %d have a text that train has",
            name, repeated[0], len(dev), repeated[1],
        )  # fmt: skip
