"""Facts about each task's data, for its entry in result.json and for the log."""

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
    """Counts of examples, bad rows, cut texts, and of dev examples that train has too."""
    same = shared_texts(splits["train"].examples, splits["dev"].examples)
    return {
        "train_examples": len(train),
        "select_examples": 0 if select is None else len(select),
        "bad_rows": sum(loaded.bad_rows for loaded in splits.values()),
        "truncated_texts": sum(data.truncated for data in (train, dev, select) if data),
        "dev_examples_in_train": same.examples,
        "dev_examples_with_a_text_in_train": same.texts,
    }


def source_facts(splits: Mapping[str, LoadedExamples]) -> dict[str, dict[str, int]]:
    """For each source of a task how many examples it gives, and how many of its rows were bad."""
    none = SourceCount(0, 0)
    names = dict.fromkeys(name for loaded in splits.values() for name in loaded.sources)
    found = {}
    for name in names:
        counts = {split: loaded.sources.get(name, none) for split, loaded in splits.items()}
        found[name] = {f"{split}_examples": each.examples for split, each in counts.items()}
        found[name]["bad_rows"] = sum(each.bad_rows for each in counts.values())
    return found


def log_facts(name: str, facts: Mapping[str, Any], train: EncodedTask, dev: EncodedTask) -> None:
    """Logs what is worth knowing of a task's data."""
    cut = f", {facts['truncated_texts']} texts cut" if facts["truncated_texts"] else ""
    words = f"{train.lengths.mean():.0f} tokens each on average{cut}"
    log.info("%s: %d train and %d dev examples, %s", name, len(train), len(dev), words)
    if facts["select_examples"]:
        log.info("%s: %d more of train are held out to choose by", name, facts["select_examples"])
    for source, counts in facts.get("sources", {}).items():
        found = counts["train_examples"], counts["dev_examples"], counts["bad_rows"]
        log.info("%s from %s: %d train and %d dev examples, %d bad rows", name, source, *found)
    same = facts["dev_examples_in_train"], facts["dev_examples_with_a_text_in_train"]
    if any(same):
        log.warning(
            "%s: %d of %d dev examples are train examples too, %d have a text that train has",
            name, same[0], len(dev), same[1],
        )  # fmt: skip
