"""The planted suite: one distribution of texts, and senses in which its tasks disagree."""

import re
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import pytest

from mtl_sharing import train
from mtl_sharing.data.examples.bundled_lexicon import BUNDLED_TASKS, CONCEPTS
from mtl_sharing.data.examples.examples import Example, shared_texts
from mtl_sharing.data.examples.planted import (
    PLANTED_SIZES,
    SENSES,
    SLOTS,
    TEMPLATES,
    planted_examples,
    rating,
    senses_of,
)
from mtl_sharing.errors import UserError

SPLITS = ("train", "dev", "test")
CHECKSUM = "00b0023beb036d8760178ec4e445fb6df4cdf58dd228ec352ece454b419ef0f0"
SLOT_OF = {
    form: (slot, concept)
    for slot, concepts in SLOTS.items()
    for concept in concepts
    for form in CONCEPTS[concept].forms
}


def concepts(text: str) -> dict[str, int]:
    """The concept in each slot of a text."""
    return dict(SLOT_OF[word] for word in re.findall(r"[a-z]+", text) if word in SLOT_OF)


def texts(task: str) -> Iterator[str]:
    for example in planted_examples(task, "train", 0, 0.0):
        yield from (text for text in (example.text, example.text_pair) if text is not None)


def equal_slots(example: Example, senses: tuple[int, ...]) -> int:
    """The number of slots in which the two texts of a pair have the same sense."""
    one, other = concepts(example.text), concepts(example.text_pair or "")
    return sum(senses[one[slot]] == senses[other[slot]] for slot in SLOTS)


def test_the_text_never_changes() -> None:
    """Results of the planted suite can only be compared while this text stays as it is."""
    every = [
        (example.id, example.text, example.text_pair, example.label)
        for task in BUNDLED_TASKS
        for split in SPLITS
        for example in planted_examples(task, split, 0, 0.0)
    ]
    assert sha256(repr(every).encode()).hexdigest() == CHECKSUM


def test_sizes_and_ids() -> None:
    for task, sizes in PLANTED_SIZES.items():
        for split, size in sizes.items():
            examples = planted_examples(task, split, 0, 0.0)
            assert len(examples) == len({example.id for example in examples}) == size


def test_a_word_has_one_slot() -> None:
    assert len(SLOT_OF) == sum(len(CONCEPTS[c].forms) for some in SLOTS.values() for c in some)


def test_texts_do_not_tell_their_task() -> None:
    """Every task draws each concept of a slot, and each order of the slots, equally often."""
    for task in BUNDLED_TASKS:
        drawn = [concepts(text) for text in texts(task)]
        counts = Counter(number for slots in drawn for number in slots.values())
        orders = Counter(tuple(slots) for slots in drawn)
        assert len(orders) == len(TEMPLATES) == 6
        assert {len(choices) for choices in SLOTS.values()} == {6}
        expected = len(drawn) / 6
        assert all(abs(n - expected) < 0.12 * expected for n in counts.values())
        assert all(abs(n - expected) < 0.12 * expected for n in orders.values())


def test_labels_are_balanced() -> None:
    labels = {
        task: Counter(example.label for example in planted_examples(task, "train", 0, 0.0))
        for task in BUNDLED_TASKS
    }
    assert sorted(labels["sst"]) == [0, 1, 2, 3, 4]
    assert sorted(labels["quora"]) == [0, 1]
    assert sorted(labels["sts"]) == [0.0, 1.25, 2.5, 3.75, 5.0]
    for counts in labels.values():
        equal = sum(counts.values()) / len(counts)
        assert all(0.85 * equal < count < 1.25 * equal for count in counts.values())


@pytest.mark.parametrize("relatedness", [0.0, 1.0])
def test_labels_follow_the_senses(relatedness: float) -> None:
    senses = {task: senses_of(task, 0, relatedness) for task in BUNDLED_TASKS}
    for example in planted_examples("sst", "dev", 0, relatedness):
        own = [senses["sst"][concept] for concept in concepts(example.text).values()]
        assert rating(own) == example.label
    for example in planted_examples("quora", "dev", 0, relatedness):
        assert (equal_slots(example, senses["quora"]) == len(SLOTS)) == example.label
    for example in planted_examples("sts", "dev", 0, relatedness):
        assert 5 * equal_slots(example, senses["sts"]) / len(SLOTS) == example.label


def test_one_task_s_senses_say_little_about_another_s() -> None:
    senses = [senses_of(task, 0, 0.0) for task in BUNDLED_TASKS]
    pairs = [pair for choices in SLOTS.values() for pair in combinations(choices, 2)]
    for one, other in combinations(senses, 2):
        equal = [(a, b) for a, b in pairs if one[a] == one[b]]
        both = sum(other[a] == other[b] for a, b in equal)
        assert both / len(equal) < 2 / SENSES


def test_relatedness_only_adds_common_senses() -> None:
    common = senses_of("sst", 0, 1.0)
    numbers = [c for choices in SLOTS.values() for c in choices]
    for task in BUNDLED_TASKS:
        assert senses_of(task, 0, 1.0) == common
        shared = [
            {c for c in numbers if senses_of(task, 0, r)[c] == common[c]} for r in (0.0, 0.4, 0.8)
        ]
        assert shared[0] < shared[1] < shared[2]


@pytest.mark.parametrize("task", BUNDLED_TASKS)
def test_no_text_occurs_in_two_examples(task: str) -> None:
    train, dev, test = (planted_examples(task, split, 0, 0.0) for split in SPLITS)
    assert shared_texts(train, [*dev, *test]) == shared_texts(dev, test) == (0, 0)


def test_another_seed_has_other_texts_and_senses() -> None:
    one, other = (planted_examples("sst", "dev", seed, 0.0) for seed in (0, 1))
    assert [e.text for e in one] != [e.text for e in other]
    for task in BUNDLED_TASKS:
        assert senses_of(task, 0, 0.0) != senses_of(task, 1, 0.0)


@pytest.mark.parametrize(
    ("seed", "relatedness", "message"),
    [
        (-1, 0.5, r"suite\.data_seed: found -1"),
        (0, 1.5, r"suite\.relatedness: found 1\.5"),
    ],
)
def test_bad_arguments_are_named(seed: int, relatedness: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        planted_examples("sts", "dev", seed, relatedness)


@pytest.mark.slow
def test_the_lower_half_may_be_shared_and_all_layers_may_not(tmp_path: Path) -> None:
    """Three full trainings of some 40 s; docs/data.md has the whole curve."""
    shared = ["suite=planted", "suite.select_fraction=0.1", "seed=1", "trainer.precision=fp32",
              "trainer.threads=1", "score.pairs=0"]  # fmt: skip
    separate, half, everything = (
        train([*shared, f"split={split}"], tmp_path / str(split))["selection"]["performance"]
        for split in (0, 6, 12)
    )
    assert half > 0.98 * separate
    assert everything < 0.9 * separate
