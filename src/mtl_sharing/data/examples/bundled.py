"""The bundled suite: three related tasks, generated from a small lexicon without any download.

A seed draws meanings (a person, an action, a thing, a place, opinions) and words them with one of
a few synonyms and templates. ``sst`` rates an opinion, ``quora`` decides whether two questions
mean the same, ``sts`` scores how much meaning two statements share. ``relatedness`` is the share
of concepts that the tasks word alike (see ``bundled_lexicon.wording``); meanings and labels do not
depend on it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from mtl_sharing.data.examples.bundled_lexicon import (
    BUNDLED_TASKS,
    CONCEPTS,
    Dice,
    check_generation,
    concepts_of,
    wording,
)
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tasks.task import SPLITS

BUNDLED_SIZES = {
    "sst": {"train": 2000, "dev": 500, "test": 500},
    "quora": {"train": 6000, "dev": 800, "test": 800},
    "sts": {"train": 2800, "dev": 400, "test": 400},
}
# Kind, number of classes and range of the labels.
BUNDLED_LABELS = {
    "sst": ("classes", 5, (0.0, 0.0)),
    "quora": ("binary", 2, (0.0, 0.0)),
    "sts": ("regression", 0, (0.0, 5.0)),
}
LABEL_NOISE = 0.03  # share of labels drawn anew (quora: flipped)

Wording = Sequence[Sequence[str]]
Draft = tuple[str, str | None, int | float]
Writer = Callable[[Dice, Wording], Draft]

FILLERS = {name: concepts_of(name) for name in ("person", "action", "thing", "place")}
# Opinions describe things in every task, so that pair tasks contain their synonyms too.
FILLERS["property"] = concepts_of("property", "opinion")

OPINION_TEMPLATES = (
    "The {property} {thing} in the {place} is {opinion1}.",
    "I think this {property} {thing} is {opinion1}.",
    "It is {opinion1} to {action} the {property} {thing}.",
    "The {thing} is {opinion1} and the {person} is {opinion2}.",
    "The {person} can {action} this {opinion1} {thing} in the {opinion2} {place}.",
    "It is {opinion1} to {action} the {thing} and the {place} is {opinion2}.",
    "This {thing} by the {person} is {opinion1} and it looks {opinion2}.",
    "The {thing} was {opinion1} and {opinion2} but the {person} is {opinion3}.",
)
NEUTRAL = concepts_of("property")
# Polarities of a sentence's opinions, for each class; 0 is a neutral property.
MOODS = ((-2, -2, -1), (-1, -1, -2, 0), (0, 0, -1, 1), (1, 1, 2, 0), (2, 2, 1))
BY_POLARITY = {
    level: tuple(i for i in (*NEUTRAL, *concepts_of("opinion")) if CONCEPTS[i].polarity == level)
    for level in range(-2, 3)
}
# Factor of each modifier on an opinion's polarity, and the draw, most often without a modifier.
MODIFIERS = {"": 1.0, "very ": 1.5, "really ": 1.5, "slightly ": 0.5, "not ": -1.0}
MODIFIER_DRAW = (*MODIFIERS, *[""] * 15)
CLASS_LIMITS = (-2.0, -0.75, 0.75, 2.0)  # class 2 holds sums between -0.75 and 0.75

# Templates of one intent are paraphrases; {object} is one of OBJECTS.
QUESTION_TEMPLATES = (
    (
        "Why will the {person} {action} {object}?",
        "What makes the {person} {action} {object}?",
        "For what reason does the {person} {action} {object}?",
    ),
    (
        "How can the {person} {action} {object}?",
        "What is the way for the {person} to {action} {object}?",
        "What should the {person} do to {action} {object}?",
    ),
    (
        "When will the {person} {action} {object}?",
        "On which day does the {person} {action} {object}?",
    ),
    (
        "May the {person} {action} {object}?",
        "Is the {person} allowed to {action} {object}?",
        "Does the law let the {person} {action} {object}?",
    ),
)
OBJECTS = {"property": "the {property} {thing}", "place": "the {thing} in the {place}"}

STATEMENT_TEMPLATES = (
    "The {person} will {action} the {property} {thing} in the {place}.",
    "In the {place} the {person} will {action} the {property} {thing}.",
    "We saw the {person} {action} the {property} {thing} near the {place}.",
    "At the {place} there is a {person} to {action} the {property} {thing}.",
)
# Contribution of each slot to a similarity, in steps of 0.2; all 25 steps make 5.
SCORE_STEPS = {"person": 6, "action": 7, "thing": 6, "property": 3, "place": 3}
# Probability that a common concept keeps its word. Half is a compromise: equal words give an easy
# signal that starts the learning, and only synonyms carry the rest.
REPEAT = 0.5
ALL_STEPS = sum(SCORE_STEPS.values())


def bundled_examples(task: str, split: str, seed: int, relatedness: float) -> list[Example]:
    """Generates the examples of one split, equal on every machine; slice the list for fewer.

    No input of a task occurs twice, within a split or across splits (swapped pairs included).

    Raises UserError for a negative seed, or a relatedness outside 0 (the tasks share only function
    words) to 1 (one vocabulary).
    """
    check_generation(seed, relatedness)
    return list(_all_splits(task, seed, float(relatedness))[split])


@lru_cache(maxsize=24)
def _all_splits(task: str, seed: int, relatedness: float) -> Mapping[str, tuple[Example, ...]]:
    forms = wording(task, seed, relatedness)
    seen: set[tuple[str, ...]] = set()
    splits = {}
    for number, split in enumerate(SPLITS):
        dice = Dice(seed, BUNDLED_TASKS.index(task), number)
        size = BUNDLED_SIZES[task][split]
        drafts = [_unseen(_WRITERS[task], dice, forms, seen) for _ in range(size)]
        splits[split] = tuple(
            Example(f"{task}-{split}-{row}", *draft) for row, draft in enumerate(drafts)
        )
    return splits


def _unseen(writer: Writer, dice: Dice, forms: Wording, seen: set[tuple[str, ...]]) -> Draft:
    while True:
        text, pair, label = writer(dice, forms)
        key = tuple(sorted((text, pair or "")))
        if key not in seen and text != pair:
            seen.add(key)
            return text, pair, label


def _write_sst(dice: Dice, forms: Wording) -> Draft:
    label = dice.below(5)  # drawn first, so that the classes are balanced
    while True:
        text, polarity = _opinion(dice, forms, MOODS[label])
        if sentiment_class(polarity) == label:
            noisy = dice.chance(LABEL_NOISE)
            return text, None, (label + 1 + dice.below(4)) % 5 if noisy else label


def sentiment_class(polarity: float) -> int:
    """Class, 0 to 4, of the summed polarity of a sentence."""
    low, lower, upper, high = CLASS_LIMITS
    return (polarity > low) + (polarity > lower) + (polarity >= upper) + (polarity >= high)


def _opinion(dice: Dice, forms: Wording, mood: Sequence[int]) -> tuple[str, float]:
    """A sentence with one to three opinions, and their summed polarity."""
    template = dice.pick(OPINION_TEMPLATES)
    slots = {slot: dice.pick(forms[dice.pick(FILLERS[slot])]) for slot in FILLERS}
    slots["property"] = dice.pick(forms[dice.pick(NEUTRAL)])
    total = 0.0
    for slot in ("opinion1", "opinion2", "opinion3"):
        slots[slot], polarity = _judgement(dice, forms, mood)
        total += polarity if f"{{{slot}}}" in template else 0.0
    return template.format(**slots), total


def _judgement(dice: Dice, forms: Wording, mood: Sequence[int]) -> tuple[str, float]:
    """An opinion (or neutral property) with its modifier, and its polarity."""
    level = dice.pick(mood)
    modifier = dice.pick(MODIFIER_DRAW)
    word = dice.pick(forms[dice.pick(BY_POLARITY[level])])
    return modifier + word, MODIFIERS[modifier] * level


def _write_quora(dice: Dice, forms: Wording) -> Draft:
    last = dice.pick(tuple(OBJECTS))
    slots = ("person", "action", "thing", last)
    same = dice.chance(0.5)
    # Different questions share half or a quarter of their meaning, so that they are similar.
    changed = [] if same else dice.some(slots, 2 if dice.chance(0.6) else 3)
    templates = dice.some(dice.pick(QUESTION_TEMPLATES), 2)
    text, pair = _pair(dice, forms, slots, changed, templates, OBJECTS[last])
    return text, pair, int(same) if not dice.chance(LABEL_NOISE) else int(not same)


def _write_sts(dice: Dice, forms: Wording) -> Draft:
    slots = tuple(SCORE_STEPS)
    changed = dice.some(slots, dice.below(len(slots) + 1))
    templates = dice.some(STATEMENT_TEMPLATES, 2)
    text, pair = _pair(dice, forms, slots, changed, templates, "")
    steps = ALL_STEPS - sum(SCORE_STEPS[slot] for slot in changed)
    if dice.chance(LABEL_NOISE):
        steps = dice.below(ALL_STEPS + 1)
    return text, pair, steps / 5.0


def _pair(
    dice: Dice,
    forms: Wording,
    slots: Sequence[str],
    changed: Sequence[str],
    templates: Sequence[str],
    phrase: str,
) -> tuple[str, str]:
    """Two texts whose meanings differ in the ``changed`` slots only.

    A common concept keeps its word with probability ``REPEAT``, or else gets a synonym.
    """
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    for slot in slots:
        concept = dice.pick(FILLERS[slot])
        first[slot] = dice.pick(forms[concept])
        if slot in changed:
            others = [other for other in FILLERS[slot] if other != concept]
            second[slot] = dice.pick(forms[dice.pick(others)])
        elif dice.chance(REPEAT):
            second[slot] = first[slot]
        else:
            second[slot] = dice.pick([form for form in forms[concept] if form != first[slot]])
    one, other = (template.replace("{object}", phrase) for template in templates)
    return one.format(**first), other.format(**second)


_WRITERS: Mapping[str, Writer] = {"sst": _write_sst, "quora": _write_quora, "sts": _write_sts}
