"""Encodes texts for training and prediction, and counts them: cleaning, tokenizing, tagging."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tokenizers import Tokenizer

from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.data.examples.examples import Example, LoadedExamples, SourceCount, shared_texts
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.data.text.cleaning import Cleaning
from mtl_sharing.data.text.tagging import TagScheme
from mtl_sharing.data.tokens.batches import EncodedTask, encode_examples
from mtl_sharing.data.tokens.tag_cache import TaggedEncoding
from mtl_sharing.data.tokens.tokenizing import Texts, TokenCache, TokenRows, encode

log = logging.getLogger(__name__)

Examples = Mapping[str, list[Example]]


@dataclass(frozen=True)
class TextSettings:
    """A run's settings of text processing, named as in ``suite``."""

    clean: tuple[str, ...]
    lemmatizer: str | None
    tags: TagScheme | None
    max_length: int

    def cleaning(self, store: ArrayStore | None = None) -> Cleaning:
        """The cleaning steps, with ``store`` as cache of lemmas."""
        return Cleaning(self.clean, self.lemmatizer, store)


class TextEncoder:
    """Tokenizes clean texts, with tags if the settings have them.

    Args:
        store: cache of tokens and tags; None computes them in every run.
    """

    def __init__(
        self, settings: TextSettings, tokenizer: Tokenizer, store: ArrayStore | None = None
    ) -> None:
        self._settings, self._tokenizer = settings, tokenizer
        self.cache = None if store is None else TokenCache(store)
        plain = encode if self.cache is None else self.cache.encode
        scheme = settings.tags
        self._tagged = None if scheme is None else TaggedEncoding(plain, scheme, store)
        self._encode = plain if self._tagged is None else self._tagged.encode

    def rows(self, texts: Texts) -> TokenRows:
        """Tokenizes texts, or pairs as one sequence each."""
        return self._encode(self._tokenizer, texts, self._settings.max_length)

    def examples(self, task: TaskSpec, joined: bool, examples: Sequence[Example]) -> EncodedTask:
        """Tokenizes examples of a task; ``joined`` makes one sequence of a pair."""
        classes, length = task.kind != "regression", self._settings.max_length
        return encode_examples(examples, self._tokenizer, length, joined, classes, self._encode)

    def check_tags(self) -> None:
        """Raises UserError if the settings have parts of speech but no word so far has one."""
        if self._tagged is not None:
            self._tagged.check()


def encode_splits(
    encoder: TextEncoder,
    tasks: Mapping[str, TaskSpec],
    joined: Mapping[str, bool],
    splits: Iterable[Examples],
) -> list[dict[str, EncodedTask]]:
    """Tokenizes all tasks' clean examples of each split; ``joined`` makes a pair one sequence."""
    encoded = [
        {name: encoder.examples(tasks[name], joined[name], rows) for name, rows in split.items()}
        for split in splits
    ]
    cache = encoder.cache
    if cache is not None and cache.found:
        log.info("tokens of %d of %d lists of texts from the cache", cache.found, cache.asked)
    encoder.check_tags()
    return encoded


def clean_splits(
    settings: TextSettings,
    loaded: Mapping[str, dict[str, LoadedExamples]],
    store: ArrayStore | None,
) -> dict[str, dict[str, int]]:
    """Cleans all texts in place, and returns each task's number of texts that stay unchanged."""
    if not settings.clean:
        return {}
    cleaning, facts = settings.cleaning(store), {}
    for name, splits in loaded.items():
        unchanged = 0
        for split, part in splits.items():
            examples, count = cleaning.examples(part.examples)
            splits[split] = replace(part, examples=examples)
            unchanged += count
        facts[name] = {"uncleaned_texts": unchanged}
        if unchanged:
            message = "%s: %d texts stay as they are, since %s leaves nothing of them"
            log.warning(message, name, unchanged, "+".join(settings.clean))
    return facts


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
    none, facts = SourceCount(0, 0), {}
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
