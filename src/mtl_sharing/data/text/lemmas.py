"""Texts in lemmas: each list goes through the spaCy pipeline once, and is kept from run to run."""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.cache.entry import Entry
from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.data.text.spacy_pipelines import digest_pipeline, load_pipeline
from mtl_sharing.errors import UserError
from mtl_sharing.utils.hashing import digest_texts

if TYPE_CHECKING:
    from spacy.language import Language

log = logging.getLogger(__name__)

KIND = "lemmas"
_SCHEMA = 1  # raise it when equal lemmas become another text
_WHERE = "suite.lemmatizer"


class Lemmatizer:
    """Writes each word of a text as its lemma.

    Args:
        pipeline: name or folder of the spaCy pipeline that gives lemmas.
        store: keeps lemmatised texts; None computes them in every run.
    """

    def __init__(self, pipeline: str, store: ArrayStore | None) -> None:
        self._pipeline, self._store = pipeline, store

    def lemmatize(self, texts: Sequence[str]) -> list[str]:
        """The texts with each word as its lemma.

        Raises:
            UserError: there is no such pipeline, or it gives no word a lemma.
        """
        if self._store is None:
            return self._compute(texts)

        def compute() -> Entry:
            about = {"texts": len(texts), "pipeline": self._pipeline}
            return Entry(to_arrays(self._compute(texts)), about)

        key = digest_texts([self._digest.encode()], texts)
        return to_texts(self._store.fetch(KIND, key, compute).arrays)

    @cached_property
    def _nlp(self) -> "Language":
        return load_pipeline(_WHERE, self._pipeline)

    @cached_property
    def _digest(self) -> str:
        return digest_pipeline(self._nlp, f"{KIND} {_SCHEMA}")

    def _compute(self, texts: Sequence[str]) -> list[str]:
        log.info("lemmatising %d texts by %s", len(texts), self._pipeline)
        lemmas, any_lemma = [], False
        for doc in self._nlp.pipe(texts):
            any_lemma = any_lemma or any(token.lemma_ for token in doc)
            lemmas.append("".join((t.lemma_ or t.text) + t.whitespace_ for t in doc))
        if texts and not any_lemma:
            found = f"{self._pipeline}, which gives no lemmas"
            raise UserError(_WHERE, found, "one with a lemmatizer")
        return lemmas


def to_arrays(texts: Sequence[str]) -> Mapping[str, NDArray[Any]]:
    """The texts' bytes in one row: text ``i`` has ``offsets[i]:offsets[i + 1]``."""
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    offsets = np.cumsum([0, *map(len, raw)], dtype=np.int64)
    return {"bytes": np.frombuffer(b"".join(raw), dtype=np.uint8), "offsets": offsets}


def to_texts(arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """The texts in the arrays of :func:`to_arrays`."""
    row, offsets = arrays["bytes"].tobytes(), arrays["offsets"].tolist()
    parts = (row[start:end] for start, end in pairwise(offsets))
    return [part.decode("utf-8", "surrogatepass") for part in parts]
