"""Tagged tokens: each text goes through the spaCy pipeline once, and is kept from run to run."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.data.text.spacy_pipelines import load_pipeline
from mtl_sharing.data.text.tagging import TagScheme, WordTags, tag_words
from mtl_sharing.data.tokens.tag_alignment import align, parts_of
from mtl_sharing.data.tokens.token_cache import token_key
from mtl_sharing.data.tokens.tokenizing import Encode, Texts, TokenRows
from mtl_sharing.errors import UserError
from mtl_sharing.utils.hashing import digest_texts

if TYPE_CHECKING:
    from spacy.language import Language

log = logging.getLogger(__name__)

TAGS, WORDS = "tags", "words"
"""Kinds of entries: tags of tokens, which depend on the tokenizer, and of words, which do not."""
_SCHEMA = 1  # to be raised when `align` gives other tags for equal words
_WHERE = "suite.tags.pipeline"
_Arrays = Mapping[str, NDArray[Any]]


class TaggedEncoding:
    """An ``Encode`` whose tokens carry tags.

    Args:
        encode: gives the tokens.
        scheme: what the tags mean.
        store: where tags are looked for and left; None computes them in every run.
    """

    def __init__(self, encode: Encode, scheme: TagScheme, store: ArrayStore | None) -> None:
        self._encode, self._scheme, self._store = encode, scheme, store
        self._pipeline: Language | None = None
        self._seen = np.zeros(2, dtype=bool)

    def encode(self, tokenizer: Tokenizer, texts: Texts, max_length: int) -> TokenRows:
        """As ``tokenizing.encode``, with ``tags``.

        Raises:
            UserError: the pipeline cannot be loaded, or names not all of its entity types.
        """
        rows = self._encode(tokenizer, texts, max_length)
        known = f"{_SCHEMA} {self._scheme.digest} {token_key(tokenizer, texts, max_length)}"
        key = sha256(known.encode()).hexdigest()

        def aligned() -> _Arrays:
            words = [self._words(part) for part in parts_of(texts)]
            return {"tags": align(tokenizer, texts, max_length, words)}

        tags = self._kept(TAGS, key, len(texts), aligned)["tags"]
        self._seen |= tags.any(axis=0)
        return replace(rows, tags=tags)

    def check(self) -> None:
        """Raises UserError where parts of speech were wanted and none of the words has one."""
        if self._scheme.pos and not self._seen[0]:
            found = f"{self._scheme.pipeline}, which gives no word a part of speech"
            raise UserError(_WHERE, found, "a pipeline that does, or suite.tags.pos=false")

    def _words(self, texts: Sequence[str]) -> WordTags:
        def tagged() -> _Arrays:
            if self._pipeline is None:
                self._pipeline = load_pipeline(_WHERE, self._scheme.pipeline)
            log.info("tagging %d texts by %s", len(texts), self._scheme.pipeline)
            return vars(tag_words(self._pipeline, self._scheme, texts))

        key = digest_texts([self._scheme.digest.encode()], texts)
        return WordTags(**self._kept(WORDS, key, len(texts), tagged))

    def _kept(self, kind: str, key: str, texts: int, compute: Callable[[], _Arrays]) -> _Arrays:
        """Arrays from the store, or computed and left there."""
        if self._store is None:
            return compute()
        with self._store.exclusive(kind, key) as place:
            if place.entry is not None:
                return place.entry.arrays
            arrays = compute()
            about = {"texts": texts, "pipeline": self._scheme.pipeline}
            entry = place.publish(about, arrays)
        return arrays if entry is None else entry.arrays
