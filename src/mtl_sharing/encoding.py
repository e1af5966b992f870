"""How a run's texts become tokens, in training as in prediction: cleaned, tokenised, tagged."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tokenizers import Tokenizer

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.data.batches import EncodedTask, encode_examples
from mtl_sharing.data.cleaning import Cleaning
from mtl_sharing.data.examples import Example, LoadedExamples
from mtl_sharing.data.tag_cache import TaggedEncoding
from mtl_sharing.data.token_cache import TokenCache
from mtl_sharing.data.tokenizing import Texts, TokenRows, encode
from mtl_sharing.store.arrays import ArrayStore

log = logging.getLogger(__name__)

Examples = Mapping[str, list[Example]]


def make_cleaning(blueprint: Blueprint, store: ArrayStore | None = None) -> Cleaning:
    """The steps of ``suite.clean``, which may be none."""
    suite = blueprint.config.suite
    return Cleaning(tuple(suite.clean), suite.lemmatizer, store)


class TextEncoder:
    """Clean texts to tokens, and to tags where the blueprint has them.

    Args:
        store: where tokens and tags are looked for and left; None computes them.
    """

    def __init__(
        self, blueprint: Blueprint, tokenizer: Tokenizer, store: ArrayStore | None = None
    ) -> None:
        self._blueprint, self._tokenizer = blueprint, tokenizer
        self.cache = None if store is None else TokenCache(store)
        plain = encode if self.cache is None else self.cache.encode
        tags = blueprint.tags
        self._tagged = None if tags is None else TaggedEncoding(plain, tags, store)
        self._encode = plain if self._tagged is None else self._tagged.encode

    def rows(self, texts: Texts) -> TokenRows:
        """Token sequences of texts, or of pairs that are one sequence each."""
        return self._encode(self._tokenizer, texts, self._blueprint.config.suite.max_length)

    def examples(self, task: str, rows: Sequence[Example]) -> EncodedTask:
        """Examples of a task, pairs joined or not as the blueprint says."""
        length = self._blueprint.config.suite.max_length
        whole = self._blueprint.specs[task].kind != "regression"
        joined = self._blueprint.joined[task]
        return encode_examples(rows, self._tokenizer, length, joined, whole, self._encode)

    def check_tags(self) -> None:
        """Raises UserError where parts of speech were wanted and no word so far has one."""
        if self._tagged is not None:
            self._tagged.check()


def encode_splits(
    blueprint: Blueprint,
    splits: Iterable[Examples],
    tokenizer: Tokenizer,
    store: ArrayStore | None,
) -> list[dict[str, EncodedTask]]:
    """All tasks' clean examples of each split, tokenised."""
    encoder = TextEncoder(blueprint, tokenizer, store)
    found = [{n: encoder.examples(n, rows) for n, rows in split.items()} for split in splits]
    cache = encoder.cache
    if cache is not None and cache.found:
        log.info("tokens of %d of %d lists of texts from the cache", cache.found, cache.asked)
    encoder.check_tags()
    return found


def clean_splits(
    blueprint: Blueprint,
    read: Mapping[str, dict[str, LoadedExamples]],
    store: ArrayStore | None,
) -> dict[str, dict[str, int]]:
    """Cleans all texts in place, where asked; gives each task's facts about it."""
    suite = blueprint.config.suite
    if not suite.clean:
        return {}
    cleaning, facts = make_cleaning(blueprint, store), {}
    for name, splits in read.items():
        kept = 0
        for split, loaded in splits.items():
            examples, left = cleaning.examples(loaded.examples)
            splits[split] = replace(loaded, examples=examples)
            kept += left
        facts[name] = {"uncleaned_texts": kept}
        if kept:
            words = "%s: %d texts stay as they are, since nothing of them is left by %s"
            log.warning(words, name, kept, "+".join(suite.clean))
    return facts
