"""Which pairs count as alike, and which texts belong together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_sharing.data.examples.bundled import bundled_examples
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tasks.task import ColumnsConfig, TaskConfig, task_spec
from mtl_sharing.data.tokens.batches import TrainingBatches
from mtl_sharing.data.tokens.positive_pairs import encode_positive_pairs, positive_pairs
from mtl_sharing.data.tokens.tokenizing import train_tokenizer
from mtl_sharing.errors import UserError

PAIR = ColumnsConfig(text_pair="second")
WHERE = "phases.first.task"


def spec(kind="binary", limits=None, columns=PAIR, classes=None):
    return task_spec("quora", TaskConfig(kind, columns, range=limits, classes=classes))


def pairs(*rows):
    return [Example(str(n), a, b, label) for n, (a, b, label) in enumerate(rows)]


def test_label_one_of_a_binary_task():
    result = positive_pairs(WHERE, spec(), pairs(("a", "b", 1), ("c", "d", 0), ("e", "f", 1)))
    assert [(one.text, one.text_pair) for one in result] == [("a", "b"), ("e", "f")]


@pytest.mark.parametrize(("limits", "kept"), [([0, 5], [4.0, 4.2, 5.0]), ([-5, 5], [3.0, 3.9, 5])])
def test_the_upper_fifth_of_a_range(limits, kept):
    labels = [limits[0], kept[0] - 0.1, *kept, 0]
    rows = pairs(*((str(n), "x", label) for n, label in enumerate(labels)))
    assert [one.label for one in positive_pairs(WHERE, spec("regression", limits), rows)] == kept


def test_examples_without_a_label_are_left_out():
    assert len(positive_pairs(WHERE, spec(), pairs(("a", "b", None), ("a", "b", 1)))) == 1


@pytest.mark.parametrize(
    ("task", "rows", "message"),
    [
        (spec(columns=ColumnsConfig()), pairs(("a", None, 1)), "quora, a task of single texts"),
        (spec("classes", classes=3), pairs(("a", "b", 1)), "quora, a task of classes"),
        (spec(), pairs(("a", "b", 0), ("c", "d", 0)),
         "quora, which has no positive pair in 2 training examples; .*labelled 1 or more"),
        (spec("regression", [0, 5]), pairs(("a", "b", 3.9)), "quora.* labelled 4 or more"),
    ],
)  # fmt: skip
def test_tasks_without_positives_are_refused(task, rows, message):
    with pytest.raises(UserError, match=f"{WHERE}: found {message}"):
        positive_pairs(WHERE, task, rows)


def test_pairs_with_a_text_in_common_are_one_group():
    rows = pairs(
        ("red", "blue", 1), ("green", "Blue", 1), ("one", "two", 1), ("two", "three", 1),
        ("one", "one", 0), ("six", "six", 1), ("three", "green", 0), ("red", "blue", 1),
    )  # fmt: skip
    words = [word for one in rows for word in (one.text, one.text_pair)]
    data = encode_positive_pairs(WHERE, spec(), rows, train_tokenizer(words * 2, 60), 9)
    result = data.labels.tolist()
    assert len(result) == 6  # positive ones
    red, green, one, two, six, again = result
    assert red == green == again
    assert one == two
    assert len({red, one, six}) == 3


TOKENIZER = train_tokenizer([f"{a} {b}" for a in "abcdefgh" for b in "ijkl"], 60)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), min_size=1))
def test_groups_are_those_of_a_union_by_hand(edges):
    data = encode_positive_pairs(WHERE, spec(), pairs(*((a, b, 1) for a, b in edges)), TOKENIZER, 9)
    lowest = {letter: letter for letter in "abcdefgh"}
    for _ in range(8):  # a chain of 8 letters is joined after 7 rounds
        for a, b in edges:
            lowest[a] = lowest[b] = min(lowest[a], lowest[b])
    expected = [lowest[a] for a, _ in edges]
    result = data.labels.tolist()
    assert len(set(zip(expected, result, strict=True))) == len(set(expected)) == len(set(result))


def test_the_bundled_pairs_are_served_with_their_groups():
    examples = bundled_examples("quora", "train", 0, 1.0)[:300]
    tokenizer = train_tokenizer((t for e in examples for t in (e.text, e.text_pair)), 400)
    data = encode_positive_pairs(WHERE, spec(), examples, tokenizer, 50)
    positive = [one for one in examples if one.label == 1]
    assert 0 < len(data) == len(positive) < 300
    batches = TrainingBatches("quora", data, 7, 0)
    seen = [batches[number] for number in range(len(batches))]
    assert sorted(label for batch in seen for label in batch.labels.tolist()) == sorted(data.labels)
    first = seen[0].text
    ids = [tokenizer.decode(part.tolist()) for part in first.tokens.split(first.lengths)]
    meant = {(one.text.lower(), one.text_pair.lower()) for one in positive}
    clean = {tuple(text.replace(" ", "") for text in both) for both in meant}
    half = len(ids) // 2
    for both in zip(ids[:half], ids[half:], strict=True):
        assert tuple(text.replace(" ", "") for text in both) in clean
