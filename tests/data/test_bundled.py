import re
from collections import Counter
from hashlib import sha256
from itertools import pairwise

import pytest

from mtl_sharing.data.examples.bundled import (
    BUNDLED_SIZES,
    MODIFIERS,
    SCORE_STEPS,
    bundled_examples,
    sentiment_class,
)
from mtl_sharing.data.examples.bundled_lexicon import (
    BUNDLED_TASKS,
    CONCEPTS,
    made_up_words,
    wording,
)
from mtl_sharing.data.examples.examples import Example, shared_texts
from mtl_sharing.errors import UserError

SPLITS = ("train", "dev", "test")
CHECKSUM = "3236cba8835e12a377724239af7e916d6f4d4510c12f36344ea7a7118b1ea02a"
# Labels are drawn anew with probability 0.03; a draw may hit the old label.
LEAST_RIGHT, MOST_RIGHT = 0.955, 0.985
OTHER_SEED = 54


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def texts(task: str, relatedness: float, split: str = "train") -> list[str]:
    examples = bundled_examples(task, split, 0, relatedness)
    return [text for e in examples for text in (e.text, e.text_pair) if text is not None]


def vocabulary(task: str, relatedness: float) -> set[str]:
    return {word for text in texts(task, relatedness) for word in words(text)}


def word_concepts(task: str, seed: int, relatedness: float) -> dict[str, int]:
    """The number of the concept of every content word of a task: the oracle of its synonyms."""
    forms = wording(task, seed, relatedness)
    return {form: number for number, synonyms in enumerate(forms) for form in synonyms}


def concepts(example: Example, oracle: dict[str, int]) -> tuple[set[int], set[int]]:
    one, other = (
        {oracle[word] for word in words(text) if word in oracle}
        for text in (example.text, example.text_pair or "")
    )
    return one, other


def test_the_text_never_changes() -> None:
    """Results of the bundled suite can only be compared while this text stays as it is."""
    every = [
        (example.id, example.text, example.text_pair, example.label)
        for task in BUNDLED_TASKS
        for split in SPLITS
        for example in bundled_examples(task, split, 0, 0.8)
    ]
    assert sha256(repr(every).encode()).hexdigest() == CHECKSUM


def test_sizes_and_ids() -> None:
    for task, sizes in BUNDLED_SIZES.items():
        for split, size in sizes.items():
            examples = bundled_examples(task, split, OTHER_SEED, 0.8)
            assert len(examples) == len({example.id for example in examples}) == size


def test_seeds_and_relatedness_change_the_text_but_relatedness_no_label() -> None:
    for task in BUNDLED_TASKS:
        first, other_seed, alike, apart = (
            bundled_examples(task, "dev", *arguments)
            for arguments in ((0, 0.8), (OTHER_SEED, 0.8), (0, 1.0), (0, 0.0))
        )
        assert not {example.text for example in alike} & {example.text for example in apart}
        assert [example.text for example in first] != [example.text for example in other_seed]
        assert [example.label for example in first] != [example.label for example in other_seed]
        labels = [example.label for example in first]
        assert labels == [e.label for e in alike] == [e.label for e in apart]


def test_a_caller_cannot_change_the_cached_list() -> None:
    bundled_examples("sst", "dev", 0, 0.8).clear()
    assert len(bundled_examples("sst", "dev", 0, 0.8)) == 500


def test_classes_are_balanced() -> None:
    sst = Counter(example.label for example in bundled_examples("sst", "train", 0, 0.8))
    assert sorted(sst) == [0, 1, 2, 3, 4]
    assert min(sst.values()) > 0.16 * 2000
    quora = [example.label for example in bundled_examples("quora", "train", 0, 0.8)]
    assert 0.47 < sum(label == 1 for label in quora) / 6000 < 0.53
    sts = Counter(example.label for example in bundled_examples("sts", "train", 0, 0.8))
    assert set(sts) <= {step / 5 for step in range(26)}
    assert min(sts) == 0.0 and max(sts) == 5.0
    # A constant answer must not look good: no score holds more than a quarter of the rows.
    assert max(sts.values()) < 0.25 * 2800


# Seed 54 draws three sentences of sst twice, so it shows that a repeated draw is thrown away.
@pytest.mark.parametrize("seed", [0, OTHER_SEED])
@pytest.mark.parametrize("task", BUNDLED_TASKS)
def test_no_input_occurs_in_two_splits_or_twice(task: str, seed: int) -> None:
    train, dev, test = (bundled_examples(task, split, seed, 0.8) for split in SPLITS)
    assert shared_texts(train, [*dev, *test])[0] == 0
    assert shared_texts(dev, test)[0] == 0
    inputs = {tuple(sorted((e.text, e.text_pair or ""))) for e in [*train, *dev, *test]}
    assert len(inputs) == len(train) + len(dev) + len(test)


@pytest.mark.parametrize("relatedness", [0.0, 0.5, 1.0])
def test_sentences_are_short_and_the_vocabulary_is_small(relatedness: float) -> None:
    lengths = {len(words(text)) for task in BUNDLED_TASKS for text in texts(task, relatedness)}
    assert min(lengths) >= 5 and max(lengths) <= 14
    assert len(set().union(*(vocabulary(task, relatedness) for task in BUNDLED_TASKS))) < 1500


def test_at_relatedness_1_all_tasks_share_every_content_word() -> None:
    shared = {form for concept in CONCEPTS for form in concept.forms}
    for task in BUNDLED_TASKS:
        assert vocabulary(task, 1.0) & shared == shared
        assert vocabulary(task, 1.0) - shared == vocabulary(task, 0.0) - set(
            word_concepts(task, 0, 0.0)
        )


def test_at_relatedness_0_tasks_share_function_words_only() -> None:
    content = {
        task: vocabulary(task, 0.0) & set(word_concepts(task, 0, 0.0)) for task in BUNDLED_TASKS
    }
    function = {task: vocabulary(task, 0.0) - content[task] for task in BUNDLED_TASKS}
    everyday = {form for concept in CONCEPTS for form in concept.forms}
    assert all(len(vocabulary) > 300 for vocabulary in content.values())
    assert all(len(vocabulary) < 40 for vocabulary in function.values())
    assert len(set().union(*content.values())) == sum(map(len, content.values()))
    assert not everyday & set().union(*content.values(), *function.values())


def test_more_relatedness_only_adds_shared_concepts() -> None:
    everyday = {form for concept in CONCEPTS for form in concept.forms}
    for task in BUNDLED_TASKS:
        shared = [set(word_concepts(task, 0, r)) & everyday for r in (0.0, 0.4, 0.8, 1.0)]
        assert shared[0] < shared[1] < shared[2] < shared[3]
        assert abs(len(shared[2]) / len(everyday) - 0.8) < 0.1


def test_a_word_has_one_meaning() -> None:
    forms = [form for concept in CONCEPTS for form in concept.forms]
    own = [f for task in made_up_words().values() for several in task for f in several]
    assert len(set(forms + own)) == len(forms + own) == 4 * len(forms)
    assert 150 <= len(CONCEPTS) <= 200
    assert {len(concept.forms) for concept in CONCEPTS} == {2, 3}


def test_every_word_is_frequent_in_related_training_data() -> None:
    counts = Counter(w for task in BUNDLED_TASKS for text in texts(task, 1.0) for w in words(text))
    assert min(counts[form] for concept in CONCEPTS for form in concept.forms) >= 30


@pytest.mark.parametrize("relatedness", [0.0, 0.8])
def test_sentiment_follows_the_polar_words(relatedness: float) -> None:
    oracle = word_concepts("sst", 0, relatedness)
    examples = bundled_examples("sst", "train", 0, relatedness)
    right = 0
    for example in examples:
        total = 0.0
        for before, word in pairwise(words(example.text)):
            polarity = CONCEPTS[oracle[word]].polarity if word in oracle else 0
            total += MODIFIERS.get(f"{before} ", 1.0) * polarity
        right += sentiment_class(total) == example.label
    assert LEAST_RIGHT < right / len(examples) < MOST_RIGHT


@pytest.mark.parametrize("relatedness", [0.0, 0.8])
def test_paraphrases_have_the_same_concepts(relatedness: float) -> None:
    oracle = word_concepts("quora", 0, relatedness)
    examples = bundled_examples("quora", "train", 0, relatedness)
    right = 0
    for example in examples:
        one, other = concepts(example, oracle)
        assert len(one) == len(other) == 4
        assert len(one & other) >= 1  # a near miss, never a stranger
        right += (one == other) == (example.label == 1)
    assert LEAST_RIGHT < right / len(examples) < MOST_RIGHT


@pytest.mark.parametrize("relatedness", [0.0, 0.8])
def test_similarity_follows_the_concepts_in_common(relatedness: float) -> None:
    oracle = word_concepts("sts", 0, relatedness)
    examples = bundled_examples("sts", "train", 0, relatedness)
    steps = {**SCORE_STEPS, "opinion": SCORE_STEPS["property"]}
    right = 0
    for example in examples:
        one, other = concepts(example, oracle)
        common = sum(steps[CONCEPTS[concept].category] for concept in one & other)
        right += common / 5 == example.label
    assert LEAST_RIGHT < right / len(examples) < MOST_RIGHT


def test_common_words_alone_do_not_tell_a_paraphrase() -> None:
    counts = {0: Counter[int](), 1: Counter[int]()}
    examples = bundled_examples("quora", "train", 0, 1.0)
    oracle = word_concepts("quora", 0, 1.0)
    for example in examples:
        one, other = (set(words(t)) & set(oracle) for t in (example.text, example.text_pair or ""))
        counts[int(example.label or 0)][len(one & other)] += 1
    # The best guess from the number of common words.
    best = sum(max(counts[0][common], counts[1][common]) for common in range(5))
    # Who knows every synonym gets 0.97.
    assert 0.5 < best / len(examples) < 0.77


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sts", "dev", -1, 0.5), r"suite\.data_seed: found -1"),
        (("sts", "dev", 0, 1.5), r"suite\.relatedness: found 1\.5"),
        (("sts", "dev", 0, float("nan")), r"suite\.relatedness: found nan"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[str, str, int, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        bundled_examples(*arguments)
