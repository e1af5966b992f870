"""Steps that clean texts before they become tokens. All are for English but the first three."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.text.lemmas import Lemmatizer
from mtl_sharing.errors import UserError, check_known
from mtl_sharing.utils.packages import check_package

STEPS = ("letters", "lower", "spaces", "stop_words", "stem", "lemmas")

_Step = Callable[[Sequence[str]], list[str]]
# Letters, and what stands between them in "isn't".
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_APOSTROPHES = re.compile(r"(?<=[^\W\d_])['\u2019](?=[^\W\d_])")


@dataclass(frozen=True)
class Cleaning:
    """The steps of ``suite.clean``, in their order.

    ``letters`` puts a space for each character that is no letter, and drops the apostrophe inside
    a word. ``lower`` is lower case; ``spaces`` makes all white space one space and takes
    it from the ends. ``stop_words`` drops scikit-learn's English ones (``not`` and ``no`` are
    among them). ``stem`` writes each word in lower case as the stem that Snowball's English
    stemmer (Porter 2) finds; ``lemmas`` writes each word as a spaCy pipeline's lemma.

    Args:
        steps: some of :data:`STEPS`.
        lemmatizer: name or folder of the pipeline that gives lemmas.
        store: where texts in lemmas are looked for and left; None computes them in every run.

    Raises:
        UserError: an unknown step, or one that needs what is missing.
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
        """The examples with clean texts, and how many texts would have become empty.

        Such a text stays as it was: an example keeps its texts, whatever the steps.

        Raises:
            UserError: a pipeline that cannot be loaded, or that gives no lemmas.
        """
        clean, kept = self.texts(
            [text for e in examples for text in (e.text, e.text_pair) if text is not None]
        )
        left = iter(clean)
        return [
            replace(e, text=next(left), text_pair=None if e.text_pair is None else next(left))
            for e in examples
        ], kept

    def texts(self, texts: list[str]) -> tuple[list[str], int]:
        """Clean texts, and how many stay as they were, as :meth:`examples` says."""
        clean = self._cleaned(texts)
        kept = sum(not text.strip() for text in clean)
        return [new if new.strip() else old for new, old in zip(clean, texts, strict=True)], kept

    def _cleaned(self, texts: list[str]) -> list[str]:
        for name in self.steps:
            texts = self._step(name)(texts)
        return texts

    @cached_property
    def _lemmatizer(self) -> Lemmatizer:
        assert self.lemmatizer is not None  # checked above
        return Lemmatizer(self.lemmatizer, self.store)

    def _step(self, name: str) -> _Step:
        if name == "lemmas":
            return self._lemmatizer.lemmatize
        steps: dict[str, _Step] = {
            "letters": lambda texts: [letters(text) for text in texts],
            "lower": lambda texts: [text.lower() for text in texts],
            "spaces": lambda texts: [spaced(text) for text in texts],
            "stop_words": without_stop_words,
            "stem": stemmed,
        }
        return steps[name]


def letters(text: str) -> str:
    """The text with a space for each character that is no letter and no white space.

    Letters are those of any script, with their combining marks.
    """
    return _APOSTROPHES.sub("", text).translate(_LETTERS)


class _Letters(dict[int, int]):
    """Every character that a text has shown so far, to itself or to a space."""

    def __missing__(self, code: int) -> int:
        c = chr(code)
        kept = c.isalpha() or c.isspace() or unicodedata.category(c).startswith("M")
        return self.setdefault(code, code if kept else ord(" "))


_LETTERS = _Letters()


def spaced(text: str) -> str:
    """The text with single spaces, and none at its ends."""
    return " ".join(text.split())


def without_stop_words(texts: Sequence[str]) -> list[str]:
    """The texts, singly spaced, without the words of scikit-learn's English list."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    def kept(found: re.Match[str]) -> str:
        # The list has such words as "couldnt", without their apostrophes.
        plain = _APOSTROPHES.sub("", found[0]).lower()
        return "" if plain in ENGLISH_STOP_WORDS else found[0]

    return [spaced(_WORD.sub(kept, text)) for text in texts]


def stemmed(texts: Sequence[str]) -> list[str]:
    """The texts with each word as its stem, by Snowball's English stemmer."""
    import snowballstemmer

    stemmer = snowballstemmer.stemmer("english")
    words = sorted({word.lower() for word in _words(texts)})
    stems = dict(zip(words, stemmer.stemWords(words), strict=True))
    return [_WORD.sub(lambda found: stems[found[0].lower()], text) for text in texts]


def _words(texts: Iterable[str]) -> Iterable[str]:
    return (word for text in texts for word in _WORD.findall(text))
