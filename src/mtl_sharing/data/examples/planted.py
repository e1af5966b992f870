"""The planted suite: three tasks that share their wording and disagree about what it means.

A text names a person, an action, a property and a thing, each with one of two synonyms. Every
task sorts the concepts of a slot into senses of its own. ``sst`` rates the senses of a text,
``quora`` decides whether two texts have equal senses, ``sts`` scores how many are equal. The texts
of all tasks come from one distribution, so that no layer can tell from a text which task's senses
count. ``relatedness`` is the share of concepts that have one sense in all tasks.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from mtl_sharing.data.examples.bundled_lexicon import (
    BUNDLED_TASKS,
    CONCEPTS,
    Dice,
    check_generation,
    concepts_of,
)
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tasks.task import SPLITS

PLANTED_SIZES = {
    "sst": {"train": 5000, "dev": 1000, "test": 500},
    "quora": {"train": 7000, "dev": 1000, "test": 500},
    "sts": {"train": 6000, "dev": 1000, "test": 500},
}
# Few concepts, so that a short training learns all senses.
SLOTS = {name: concepts_of(name)[:6] for name in ("person", "action", "property", "thing")}
FORMS = 2  # of a concept
TEMPLATES = (
    "{person} {action} {property} {thing}",
    "{property} {thing} {person} {action}",
    "{action} {property} {thing} {person}",
    "{person} {property} {thing} {action}",
    "{action} {person} {property} {thing}",
    "{property} {thing} {action} {person}",
)
SENSES = 3  # of a slot, for each task
# The least sums of senses of the classes 1 to 4; each class has a fifth of the texts or nearly so.
CLASS_LIMITS = (3, 4, 5, 6)
# Probability that an equal sense keeps its word: an easy signal that starts the learning.
REPEAT = 0.5
# Slots with another sense, of which a pair draws one.
CHANGES = {"quora": (0, 0, 0, 0, 0, 2, 2, 2, 3, 3), "sts": (0, 1, 2, 3, 4)}

# Arbitrary constants that keep the streams of draws apart; other values change the texts.
OWN_STREAM, COMMON_STREAM, TEXT_STREAM = 15485863, 32452843, 49979687

Draft = tuple[str, str | None, int | float]


def planted_examples(task: str, split: str, seed: int, relatedness: float) -> list[Example]:
    """Generates the examples of one split, equal on every machine; slice the list for fewer.

    No text of a task occurs in two examples.

    Raises UserError for a negative seed, or a relatedness outside 0 (each task has senses of its
    own) to 1 (all tasks have the same senses).
    """
    check_generation(seed, relatedness)
    return list(_all_splits(task, seed, float(relatedness))[split])


@lru_cache(maxsize=24)
def _all_splits(task: str, seed: int, relatedness: float) -> Mapping[str, tuple[Example, ...]]:
    senses = senses_of(task, seed, relatedness)
    seen: set[str] = set()
    splits = {}
    for number, split in enumerate(SPLITS):
        dice = Dice(TEXT_STREAM, seed, BUNDLED_TASKS.index(task), number)
        size = PLANTED_SIZES[task][split]
        drafts = [_unseen(task, dice, senses, seen) for _ in range(size)]
        splits[split] = tuple(
            Example(f"{task}-{split}-{row}", *draft) for row, draft in enumerate(drafts)
        )
    return splits


def senses_of(task: str, seed: int, relatedness: float) -> tuple[int, ...]:
    """A task's sense, 0 to ``SENSES`` - 1, of each of ``CONCEPTS``.

    A concept has the sense that is common to all tasks if its draw, fixed by ``seed``, is below
    ``relatedness``. Raising ``relatedness`` therefore only adds common senses.
    """
    own = _draw_senses(Dice(OWN_STREAM, seed, BUNDLED_TASKS.index(task)))
    common = _draw_senses(Dice(COMMON_STREAM, seed, 0))
    dice = Dice(COMMON_STREAM, seed, 1)
    return tuple(
        sense if dice.unit() < relatedness else other
        for sense, other in zip(common, own, strict=True)
    )


def _draw_senses(dice: Dice) -> list[int]:
    """A random sense for each concept, as many concepts of a slot to one sense as to another."""
    senses = [0] * len(CONCEPTS)
    for concepts in SLOTS.values():
        for rank, concept in enumerate(dice.some(concepts, len(concepts))):
            senses[concept] = rank * SENSES // len(concepts)
    return senses


def _unseen(task: str, dice: Dice, senses: Sequence[int], seen: set[str]) -> Draft:
    while True:
        text, pair, label = _write(task, dice, senses)
        texts = {text, pair or text}
        if text != pair and seen.isdisjoint(texts):
            seen |= texts
            return text, pair, label


def _write(task: str, dice: Dice, senses: Sequence[int]) -> Draft:
    concepts = {slot: dice.pick(choices) for slot, choices in SLOTS.items()}
    words = _words(dice, concepts)
    text = dice.pick(TEMPLATES).format(**words)
    if task == "sst":
        return text, None, rating(senses[concept] for concept in concepts.values())
    changed = dice.some(tuple(SLOTS), dice.pick(CHANGES[task]))
    repeated = [slot for slot in SLOTS if slot not in changed and dice.chance(REPEAT)]
    for slot, concept in concepts.items():
        others = [c for c in SLOTS[slot] if (senses[c] != senses[concept]) == (slot in changed)]
        concepts[slot] = dice.pick(others)
    other_words = _words(dice, concepts) | {slot: words[slot] for slot in repeated}
    pair = dice.pick(TEMPLATES).format(**other_words)
    equal = len(SLOTS) - len(changed)
    return text, pair, int(not changed) if task == "quora" else 5.0 * equal / len(SLOTS)


def _words(dice: Dice, concepts: Mapping[str, int]) -> dict[str, str]:
    return {slot: dice.pick(CONCEPTS[number].forms[:FORMS]) for slot, number in concepts.items()}


def rating(senses: Iterable[int]) -> int:
    """Class, 0 to 4, of a text with these senses; higher senses are better."""
    total = sum(senses)
    return sum(total >= limit for limit in CLASS_LIMITS)
