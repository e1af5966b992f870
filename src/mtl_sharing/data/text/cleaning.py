"""Cleaning steps for texts before tokenizing; all but the first three are for English."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.text.lemmas import Lemmatizer
from mtl_sharing.errors import UserError, check_known
from mtl_sharing.utils.packages import check_package

STEPS = ("letters", "lower", "spaces", "stop_words", "stem", "lemmas")

# Words are letters, with single apostrophes inside, as in "isn't".
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_APOSTROPHES = re.compile(r"(?<=[^\W\d_])['\u2019](?=[^\W\d_])")


@dataclass(frozen=True)
class Cleaning:
    """The steps of ``suite.clean``, in their order.

    ``letters`` replaces each character that is neither a letter nor white space by a space, and
    drops the apostrophe inside a word. ``lower`` converts to lower case. ``spaces`` collapses
    white space to single spaces and strips it from the ends. ``stop_words`` drops scikit-learn's
    English list (which contains ``not`` and ``no``). ``stem`` replaces each word by its lower-case
    stem of Snowball's English stemmer (Porter 2), ``lemmas`` by its lemma of a spaCy pipeline.

    Args:
        steps: some of :data:`STEPS`.
        lemmatizer: name or folder of the pipeline that gives lemmas.
        store: cache of lemmatised texts; None computes them in every run.

    Raises:
        UserError: an unknown step, or one whose package or pipeline is missing.
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

        Raises:
            UserError: the pipeline cannot be loaded, or gives no lemmas.
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
