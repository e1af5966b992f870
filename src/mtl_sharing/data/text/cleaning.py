"""Cleaning steps for texts before tokenizing; all but the first three are for English."""

import logging
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.cache.store import ArrayStore, Entry
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.text.tagging import digest_pipeline, load_pipeline
from mtl_sharing.errors import UserError, check_known
from mtl_sharing.utils.environment import check_package
from mtl_sharing.utils.hashing import digest_texts

if TYPE_CHECKING:
    from spacy.language import Language

log = logging.getLogger(__name__)

STEPS = ("letters", "lower", "spaces", "stop_words", "stem", "lemmas")

# Words are letters, with single apostrophes inside, as in "isn't".
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_APOSTROPHES = re.compile(r"(?<=[^\W\d_])['\u2019](?=[^\W\d_])")

KIND = "lemmas"
_SCHEMA = 1  # raise it when equal lemmas become another text
_WHERE = "suite.lemmatizer"


class Lemmatizer:
    """Writes each word of a text as its lemma.

    Args:
        store: keeps lemmatised texts; None computes them in every run.
    """

    def __init__(self, pipeline: str, store: ArrayStore | None) -> None:
        self._pipeline, self._store = pipeline, store

    def lemmatize(self, texts: Sequence[str]) -> list[str]:
        """The texts with each word as its lemma; raises UserError if no word has one."""
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


@dataclass(frozen=True)
class Cleaning:
    """The steps of ``suite.clean``, in their order.

    ``letters`` replaces each character that is neither a letter nor white space by a space, and
    drops the apostrophe inside a word. ``lower`` converts to lower case. ``spaces`` collapses
    white space to single spaces and strips it from the ends. ``stop_words`` drops scikit-learn's
    English list (which contains ``not`` and ``no``). ``stem`` replaces each word by its lower-case
    stem of Snowball's English stemmer (Porter 2), ``lemmas`` by its lemma of a spaCy pipeline.

    Raises UserError for an unknown step, or one whose package or pipeline is missing.

    Args:
        lemmatizer: name or folder of the pipeline that gives lemmas.
        store: cache of lemmatised texts; None computes them in every run.
    """

    steps: tuple[str, ...]
    lemmatizer: str | None = None
    store: ArrayStore | None = None

    def __post_init__(self) -> None:
        for step in self.steps:
            check_known("suite.clean", step, STEPS)
        if "stem" in self.steps:
            check_package("suite.clean", "stem", "snowballstemmer", "text")
        if "lemmas" in self.steps and self.lemmatizer is None:
            raise UserError("suite.lemmatizer", "null", "a spaCy pipeline for suite.clean=[lemmas]")
        if self.lemmatizer is not None:
            if "lemmas" not in self.steps:
                found = f"{self.lemmatizer} without lemmas in suite.clean"
                raise UserError("suite.lemmatizer", found, "null, or lemmas in suite.clean")
            check_package("suite.lemmatizer", self.lemmatizer, "spacy", "tags")

    def examples(self, examples: Sequence[Example]) -> tuple[list[Example], int]:
        """Cleans the examples' texts, and counts those that would become empty.

        Such a text stays unchanged, so that no example loses a text.
        """
        texts = [text for e in examples for text in (e.text, e.text_pair) if text is not None]
        cleaned, unchanged = self.texts(texts)
        rest = iter(cleaned)
        return [
            replace(e, text=next(rest), text_pair=None if e.text_pair is None else next(rest))
            for e in examples
        ], unchanged

    def texts(self, texts: list[str]) -> tuple[list[str], int]:
        """Cleans texts, and counts those that would become empty and stay unchanged."""
        cleaned = texts
        for step in self.steps:
            function = self._lemmatizer.lemmatize if step == "lemmas" else _FUNCTIONS[step]
            cleaned = function(cleaned)
        unchanged = sum(not text.strip() for text in cleaned)
        kept = [new if new.strip() else old for new, old in zip(cleaned, texts, strict=True)]
        return kept, unchanged

    @cached_property
    def _lemmatizer(self) -> Lemmatizer:
        assert self.lemmatizer is not None  # checked in __post_init__
        return Lemmatizer(self.lemmatizer, self.store)


class _LetterTable(dict[int, int]):
    """Translation table for ``str.translate``, filled on demand with the characters seen."""

    def __missing__(self, code: int) -> int:
        c = chr(code)
        # Combining marks are parts of letters.
        kept = c.isalpha() or c.isspace() or unicodedata.category(c).startswith("M")
        return self.setdefault(code, code if kept else ord(" "))


_LETTERS = _LetterTable()


def _letters(texts: Sequence[str]) -> list[str]:
    return [_APOSTROPHES.sub("", text).translate(_LETTERS) for text in texts]


def _lower(texts: Sequence[str]) -> list[str]:
    return [text.lower() for text in texts]


def _spaces(texts: Sequence[str]) -> list[str]:
    return [" ".join(text.split()) for text in texts]


def _without_stop_words(texts: Sequence[str]) -> list[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    def replacement(match: re.Match[str]) -> str:
        # The list has such words as "couldnt", without their apostrophes.
        word = _APOSTROPHES.sub("", match[0]).lower()
        return "" if word in ENGLISH_STOP_WORDS else match[0]

    return _spaces([_WORD.sub(replacement, text) for text in texts])


def _stemmed(texts: Sequence[str]) -> list[str]:
    import snowballstemmer

    stemmer = snowballstemmer.stemmer("english")
    words = sorted({word.lower() for text in texts for word in _WORD.findall(text)})
    stems = dict(zip(words, stemmer.stemWords(words), strict=True))
    return [_WORD.sub(lambda match: stems[match[0].lower()], text) for text in texts]


_FUNCTIONS: Mapping[str, Callable[[Sequence[str]], list[str]]] = {
    "letters": _letters, "lower": _lower, "spaces": _spaces,
    "stop_words": _without_stop_words, "stem": _stemmed,
}  # fmt: skip
