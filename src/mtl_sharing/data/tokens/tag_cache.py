"""Tagged tokens: each text goes through the spaCy pipeline once, and is kept from run to run."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mtl_sharing.cache.entry import Entry
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
_SCHEMA = 1  # raise it when `align` gives other tags for equal words
_WHERE = "suite.tags.pipeline"
_Arrays = Mapping[str, NDArray[Any]]


class TaggedEncoding:
    """An ``Encode`` whose tokens carry tags.

    Args:
        encode: gives the tokens.
        scheme: meaning of the tags.
        store: keeps tags; None computes them in every run.
    """

    def __init__(self, encode: Encode, scheme: TagScheme, store: ArrayStore | None) -> None:
        self._encode, self._scheme, self._store = encode, scheme, store
        self._pipeline: Language | None = None
        self._has_tags = np.zeros(2, dtype=bool)

    def encode(self, tokenizer: Tokenizer, texts: Texts, max_length: int) -> TokenRows:
        """The result of ``tokenizing.encode``, with ``tags``.

        Raises:
            UserError: the pipeline cannot be loaded, or does not name all its entity types.
        """

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
