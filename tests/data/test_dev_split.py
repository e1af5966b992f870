"""Dev rows taken from train: by label, by seed, and without a text on both sides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_sharing.data.examples.dev_split import split_dev
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.examples.holdout import text_groups
from mtl_sharing.errors import UserError

TEXTS = st.sampled_from([*"abcdefghijklmnopqrstuvwxyz", " B", "C c", "c  c"])
PAIRS = st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 2)), min_size=4, max_size=40)


def examples_of(rows):
    return [Example(str(i), first, second, label) for i, (first, second, label) in enumerate(rows)]


@settings(deadline=None)  # the first call loads scipy
@given(st.fixed_dictionaries({"one": PAIRS, "two": PAIRS}))
def test_no_text_is_on_both_sides_and_no_side_is_empty(rows):
    examples = {task: examples_of(part) for task, part in rows.items()}
    try:
        is_dev = split_dev(examples, 0.2, 1000, 0)
    except UserError as error:
        groups = text_groups(examples, 0)[error.where]  # one group has more than half of the rows
        assert 2 * np.unique(groups, return_counts=True)[1].min() > len(groups)
        return
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    for task, part in examples.items():
        assert is_dev[task].any()
        for example, dev in zip(part, is_dev[task].tolist(), strict=True):
            texts = (example.text, example.text_pair)
            sides[dev] |= {" ".join(text.lower().split()) for text in texts}
    assert sides[True].isdisjoint(sides[False])


def test_each_class_gives_its_share_and_a_rare_one_stays_in_train():
    sizes = {0: 100, 1: 35, 2: 1}
    labels = [label for label, size in sizes.items() for _ in range(size)]
    examples = [Example(str(i), f"text {i}", None, label) for i, label in enumerate(labels)]
    is_dev = split_dev({"mine": examples}, 0.2, 1000, 0)["mine"]
    assert np.bincount(np.array(labels)[is_dev], minlength=3).tolist() == [20, 7, 0]
    assert split_dev({"mine": examples}, 0.2, 17, 0)["mine"].sum() == 12 + 4


def test_scores_are_spread_over_both_sides():
    examples = [Example(str(i), f"text {i}", None, float(i)) for i in range(50)]
    is_dev = split_dev({"mine": examples}, 0.2, 1000, 0)["mine"]
    assert is_dev.reshape(5, 10).sum(axis=1).tolist() == [2, 2, 2, 2, 2]


def test_a_seed_chooses_others_and_always_the_same():
    examples = {"mine": [Example(str(i), f"text {i}", None, i % 2) for i in range(100)]}
    first, again, other = (split_dev(examples, 0.2, 1000, seed)["mine"] for seed in (3, 3, 4))
    assert (first == again).all() and (first != other).any()


def test_rows_that_all_hang_together_are_refused_by_the_tasks_name():
    examples = {"mine": examples_of([("a", "b", 0), ("b", "c", 1), ("c", "d", 0)])}
    with pytest.raises(UserError, match="mine: found 3 rows, of which nearly all share texts"):
        split_dev(examples, 0.2, 1000, 0)
