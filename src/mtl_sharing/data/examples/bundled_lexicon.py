"""Words of the bundled suite: concepts, their synonyms, and made-up words for each task."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from mtl_sharing.errors import UserError, check_range

Item = TypeVar("Item")

BUNDLED_TASKS = ("sst", "quora", "sts")

# Arbitrary constants that keep the streams of draws apart; other values change the texts.
MADE_UP_SEED = 7919
WORDING_STREAM = 104729

_ONSETS = (*"bdfgklmnprstvz", "bl", "dr", "fl", "gr", "kl", "pr", "sk", "sl", "sn", "st", "tr")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ee", "oo")
_CODAS = ("", "", "l", "m", "n", "r", "sk", "x")


@dataclass(frozen=True)
class Concept:
    """A meaning and its synonyms. ``polarity`` is -2 to 2, and 0 for all but opinions."""

    category: str
    polarity: int
    forms: tuple[str, ...]


class Dice:
    """Random draws that are equal on every platform and for every version of numpy.

    They use only raw bits of PCG64, which numpy guarantees never to change. It does not guarantee
    that for the distributions of its ``Generator``.
    """

    def __init__(self, *seeds: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seeds))

    def unit(self) -> float:
        """A number in [0, 1)."""
        return (int(self._bits.random_raw()) >> 11) / 2.0**53

    def below(self, limit: int) -> int:
        """A whole number in [0, limit)."""
        return (int(self._bits.random_raw()) * limit) >> 64

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.unit() < probability

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[Item], count: int) -> list[Item]:
        """``count`` different items, in drawn order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(count)]


def _read_concepts(text: str) -> Iterator[Concept]:
    """The concepts of concepts.txt: a category a line, synonyms joined by a slash.

    Behind the name of a category of opinions stands its polarity. No word occurs twice.
    """
    for line in text.splitlines():
        heading, _, words = line.partition(": ")
        category = heading.rstrip("+-12")
        polarity = int(heading.removeprefix(category) or 0)
        yield from (Concept(category, polarity, tuple(w.split("/"))) for w in words.split())


CONCEPTS = tuple(_read_concepts(Path(__file__).with_name("concepts.txt").read_text("utf-8")))


def concepts_of(*categories: str) -> tuple[int, ...]:
    """Indices in ``CONCEPTS`` of all concepts of the categories."""
    return tuple(i for i, concept in enumerate(CONCEPTS) if concept.category in categories)


@lru_cache(maxsize=1)
def made_up_words() -> dict[str, tuple[tuple[str, ...], ...]]:
    """Each task's own forms of every concept, as many as the concept has shared forms.

    No form is also a shared form or one of another task.
    """
    dice = Dice(MADE_UP_SEED)
    taken = {form for concept in CONCEPTS for form in concept.forms}
    return {
        task: tuple(tuple(_new_word(dice, taken) for _ in concept.forms) for concept in CONCEPTS)
        for task in BUNDLED_TASKS
    }


def _new_word(dice: Dice, taken: set[str]) -> str:
    """A pronounceable word of two or three syllables that is not in ``taken``; adds it there."""
    while True:
        word = "".join(
            dice.pick(_ONSETS) + dice.pick(_VOWELS) + dice.pick(_CODAS)
            for _ in range(2 + dice.below(2))
        )
        # Shorter words could be function words of the templates.
        if len(word) >= 5 and word not in taken:
            taken.add(word)
            return word


def wording(task: str, seed: int, relatedness: float) -> tuple[tuple[str, ...], ...]:
    """A task's forms of each of ``CONCEPTS``: the shared forms or its own.

    A concept is shared if its draw, fixed by ``seed``, is below ``relatedness``. Raising
    ``relatedness`` therefore only adds shared concepts.
    """
    dice = Dice(WORDING_STREAM, seed, BUNDLED_TASKS.index(task))
    own = made_up_words()[task]
    return tuple(
        concept.forms if dice.unit() < relatedness else own[i] for i, concept in enumerate(CONCEPTS)
    )


def check_generation(seed: int, relatedness: float) -> None:
    """Raises UserError for a negative seed, or a relatedness outside 0 to 1."""
    if seed < 0:
        raise UserError("suite.data_seed", seed, "a whole number, 0 or more")
    check_range("suite.relatedness", relatedness, 0, 1)
