"""Tagged tokens: each text goes through the spaCy pipeline once, and is kept from run to run."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mtl_sharing.cache.store import ArrayStore, Entry
from mtl_sharing.data.text.tagging import TagScheme, WordTags, load_pipeline, tag_words
from mtl_sharing.data.tokens.tokenizing import (
    Encode,
    Texts,
    TokenRows,
    encoding_errors,
    set_limit,
    token_key,
)
from mtl_sharing.errors import UserError
from mtl_sharing.utils.hashing import digest_texts

if TYPE_CHECKING:
    from spacy.language import Language

log = logging.getLogger(__name__)

TAGS, WORDS = "tags", "words"
"""Kinds of entries: tags of tokens, which depend on the tokenizer, and of words, which do not."""
_SCHEMA = 1  # raise it when `align` gives other tags for equal words
_WHERE = "suite.tags.pipeline"
_CHUNK = 2048
_Arrays = Mapping[str, NDArray[Any]]


def align(
    tokenizer: Tokenizer, texts: Texts, max_length: int, words: Sequence[WordTags]
) -> NDArray[np.uint16]:
    """Tags of every token that ``tokenizing.encode`` gives for the same arguments.

    A token that covers parts of several words has the first one's tags. A special token, and one
    that covers no word, has none (0).

    Args:
        words: tags of all texts, or of all first and of all second texts of pairs.

    Returns:
        Part of speech and entity type, shape (tokens, 2).
    """
    set_limit(tokenizer, max_length)
    chunks = [np.zeros((0, 2), np.uint16)]
    for begin in range(0, len(texts), _CHUNK):
        chunk = texts[begin : begin + _CHUNK]
        # Not encode_batch_fast, which omits the characters.
        with encoding_errors():
            encodings = tokenizer.encode_batch(chunk)
        spans = np.concatenate([np.array(e.offsets, np.int64).reshape(-1, 2) for e in encodings])
        text = np.arange(len(encodings)).repeat([len(e.offsets) for e in encodings])
        # Each token's text of the pair; -1 for special tokens.
        part_of = np.array([-1 if p is None else p for e in encodings for p in e.sequence_ids])
        tags = np.zeros((len(spans), 2), np.uint16)
        for number, (part, own) in enumerate(zip(words, parts_of(chunk), strict=True)):
            here = part_of == number
            tagged = part.part(begin, begin + len(chunk))
            tags[here] = _tags_of(own, tagged, spans[here], text[here])
        chunks.append(tags)
    return np.concatenate(chunks)


def parts_of(texts: Texts) -> list[list[str]]:
    """The texts, or the first and the second texts of pairs."""
    rows = [(text,) if isinstance(text, str) else text for text in texts]
    return [list(part) for part in zip(*rows, strict=True)] or [[]]


def _tags_of(
    texts: Sequence[str], words: WordTags, spans: NDArray[np.int64], text: NDArray[np.int64]
) -> NDArray[np.uint16]:
    """Tags of the first word that each token touches, shape (tokens, 2).

    Args:
        spans: start and end of each token in characters of its text, shape (tokens, 2).
        text: number of each token's text, shape (tokens,).
    """
    # The texts are laid end to end, to index all characters at once.
    bounds = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    sizes = (words.spans[:, 1] - words.spans[:, 0]).astype(np.int64)
    begins = words.spans[:, 0] + bounds[:-1].repeat(np.diff(words.offsets))
    # Indices of all words' characters, one word after the other.
    characters = (begins - (sizes.cumsum() - sizes)).repeat(sizes) + np.arange(sizes.sum())
    last = int(bounds[-1])
    # For each character the first one from there on that is part of a word; ``last`` for none.
    following = np.full(last + 1, last, dtype=np.int64)
    following[characters] = characters
    following = np.minimum.accumulate(following[::-1])[::-1]
    tags = np.zeros((last + 1, 2), np.uint16)
    tags[characters] = words.tags.repeat(sizes, axis=0)
    starts, ends = (spans + bounds[text][:, None]).T
    touched = following[starts]
    return np.where((touched < ends)[:, None], tags[touched], np.uint16(0))


class TaggedEncoding:
    """An ``Encode`` whose tokens carry tags.

    Args:
        store: keeps tags; None computes them in every run.
    """

    def __init__(self, encode: Encode, scheme: TagScheme, store: ArrayStore | None) -> None:
        self._encode, self._scheme, self._store = encode, scheme, store
        self._pipeline: Language | None = None
        self._has_tags = np.zeros(2, dtype=bool)

    def encode(self, tokenizer: Tokenizer, texts: Texts, max_length: int) -> TokenRows:
        """The result of ``tokenizing.encode``, with ``tags``; raises as :func:`tag_words`."""

        def compute() -> _Arrays:
            words = [self._words(part) for part in parts_of(texts)]
            return {"tags": align(tokenizer, texts, max_length, words)}

        rows = self._encode(tokenizer, texts, max_length)
        head = f"{_SCHEMA} {self._scheme.digest} {token_key(tokenizer, texts, max_length)}"
        tags = self._fetch(TAGS, sha256(head.encode()).hexdigest(), len(texts), compute)["tags"]
        self._has_tags |= tags.any(axis=0)
        return replace(rows, tags=tags)

    def check(self) -> None:
        """Raises UserError where parts of speech are configured and no word has one."""
        if self._scheme.pos and not self._has_tags[0]:
            found = f"{self._scheme.pipeline}, which gives no word a part of speech"
            raise UserError(_WHERE, found, "a pipeline that does, or suite.tags.pos=false")

    def _words(self, texts: Sequence[str]) -> WordTags:
        def compute() -> _Arrays:
            if self._pipeline is None:
                self._pipeline = load_pipeline(_WHERE, self._scheme.pipeline)
            log.info("tagging %d texts by %s", len(texts), self._scheme.pipeline)
            return vars(tag_words(self._pipeline, self._scheme, texts))

        key = digest_texts([self._scheme.digest.encode()], texts)
        return WordTags(**self._fetch(WORDS, key, len(texts), compute))

    def _fetch(self, kind: str, key: str, texts: int, compute: Callable[[], _Arrays]) -> _Arrays:
        """Arrays from the store where there is one, else computed."""
        if self._store is None:
            return compute()
        about = {"texts": texts, "pipeline": self._scheme.pipeline}
        return self._store.fetch(kind, key, lambda: Entry(compute(), about)).arrays
