"""What is held out of train to choose by: whole groups of examples, found by their texts alone."""

import inspect
import os
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_sharing.data.examples.bundled import bundled_examples
from mtl_sharing.data.examples.examples import Example, LoadedExamples, SourceCount, load_examples
from mtl_sharing.data.examples.holdout import hold_out, split_held
from mtl_sharing.data.tasks.task import task_spec
from mtl_sharing.errors import UserError
from support import load_config

# Few different texts, so that examples share them; " B" and "b" are the same text.
TEXTS = st.sampled_from([*"abcdefghijklmnopqrstuvwxyz", " B", "c  c", "C c"])
SINGLES = st.lists(st.tuples(TEXTS), min_size=2, max_size=30)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), min_size=2, max_size=30)
TASKS = st.fixed_dictionaries({"one": SINGLES}, optional={"two": PAIRS, "three": PAIRS})
FRACTIONS = st.floats(0.01, 0.99)


def examples_of(rows):
    """Examples of their own ids, each with one text or two."""
    return [Example(str(i), row[0], row[1] if row[1:] else None, 0) for i, row in enumerate(rows)]


def plain(row):
    return [" ".join(text.lower().split()) for text in row]


def groups_of(tasks):
    """The examples, as (task, number), that hang together: found by walking from each."""
    with_text = defaultdict(set)
    for task, rows in tasks.items():
        for number, row in enumerate(rows):
            for text in plain(row):
                with_text[text].add((task, number))
    groups, seen = [], set()
    for start in [(task, n) for task, rows in tasks.items() for n in range(len(rows))]:
        if start in seen:
            continue
        group, todo = set(), [start]
        while todo:
            task, number = here = todo.pop()
            if here not in group:
                group.add(here)
                todo += [e for text in plain(tasks[task][number]) for e in with_text[text]]
        seen |= group
        groups.append(group)
    return groups


def held_of(tasks, fraction):
    """For each task the numbers of its held-out examples; None where the cut is refused."""
    try:
        masks = hold_out({task: examples_of(rows) for task, rows in tasks.items()}, fraction)
    except UserError:
        return None
    assert {task: len(mask) for task, mask in masks.items()} == {
        task: len(rows) for task, rows in tasks.items()
    }
    return {task: set(np.flatnonzero(mask).tolist()) for task, mask in masks.items()}


@settings(deadline=None)  # the first call loads scipy
@given(TASKS, FRACTIONS)
def test_no_text_is_on_both_sides_and_no_side_is_empty(tasks, fraction):
    held = held_of(tasks, fraction)
    if held is None:
        return
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    for task, rows in tasks.items():
        assert 1 <= len(held[task]) < len(rows)
        for number, row in enumerate(rows):
            sides[number in held[task]] |= set(plain(row))
    assert sides[True].isdisjoint(sides[False])


@settings(deadline=None)  # the first call loads scipy
@given(TASKS, FRACTIONS)
def test_as_many_as_asked_unless_every_group_left_is_too_many(tasks, fraction):
    held, groups = held_of(tasks, fraction), groups_of(tasks)
    expected = {task: max(1, round(fraction * len(rows))) for task, rows in tasks.items()}
    if held is None:
        # Nothing is left to train on, or a task cannot be parted at all.
        whole = [{t for t, _ in group} for group in groups]
        parts = {task: sum(task in one for one in whole) for task in tasks}
        too_many = any(expected[task] >= len(rows) for task, rows in tasks.items())
        assert too_many or 1 in parts.values() or len(tasks) > 1
        return

    def share(group, task):
        return sum(t == task for t, _ in group)

    left = [g for g in groups if not any(n in held[t] for t, n in g)]
    for task in tasks:
        each = [share(group, task) for group in groups if share(group, task)]
        assert len(held[task]) <= expected[task] or len(tasks) > 1 or len(held[task]) == min(each)
    lacks = {task: expected[task] - len(held[task]) for task in tasks}
    assert all(any(share(group, task) > lacks[task] for task in tasks) for group in left)


@settings(deadline=None)  # the first call loads scipy
@given(st.sets(st.integers(0, 999), min_size=2, max_size=60), FRACTIONS)
def test_texts_that_nothing_links_are_held_out_in_the_exact_number(numbers, fraction):
    rows = [(f"text {number}",) for number in numbers]
    expected = max(1, round(fraction * len(rows)))
    held = held_of({"one": rows}, fraction)
    assert held is None if expected == len(rows) else len(held["one"]) == expected


@settings(deadline=None)  # the first call loads scipy
@given(TASKS, FRACTIONS, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_tasks_changes_nothing(tasks, fraction, random):
    held = held_of(tasks, fraction)
    orders = {task: random.sample(range(len(rows)), len(rows)) for task, rows in tasks.items()}
    names = random.sample(list(tasks), len(tasks))
    moved = held_of({task: [tasks[task][i] for i in orders[task]] for task in names}, fraction)
    if held is None or moved is None:
        assert held is moved
        return
    assert held == {task: {orders[task][i] for i in moved[task]} for task in tasks}


def test_the_swap_of_a_pair_changes_nothing():
    rows = [(f"left {i}", f"right {i % 17}") for i in range(40)]
    swapped = [(b, a) if i % 3 else (a, b) for i, (a, b) in enumerate(rows)]
    assert held_of({"one": rows}, 0.3) == held_of({"one": swapped}, 0.3)


def test_more_is_held_out_where_the_fraction_is_larger():
    """The same order of texts for every fraction, so that runs of two fractions compare."""
    rows = [(f"text {number}",) for number in range(101)]
    small, large = (held_of({"one": rows}, fraction)["one"] for fraction in (0.1, 0.4))
    assert len(small) == 10 and len(large) == 40
    assert small < large


def test_a_text_that_is_often_used_is_held_out_no_more_often():
    """Groups of one to five examples: each size is held out at the rate of the others."""
    sizes = [1 + i % 5 for i in range(5000)]
    rows = [(f"text {i} {j}", f"hub {i}") for i, size in enumerate(sizes) for j in range(size)]
    held = held_of({"one": rows}, 0.2)["one"]
    assert len(held) == round(0.2 * len(rows))
    starts = np.cumsum([0, *sizes[:-1]])
    for size in range(1, 6):
        rate = np.mean([start in held for start, s in zip(starts, sizes, strict=True) if s == size])
        # Five standard deviations of 1,000 draws at 0.2.
        assert abs(rate - 0.2) < 5 * (0.2 * 0.8 / 1000) ** 0.5


def test_a_text_of_two_tasks_trains_neither_or_both():
    tasks = {"one": [(f"text {i}",) for i in range(30)],
             "two": [(f"text {i}", f"other {i}") for i in range(20, 60)]}  # fmt: skip
    held = held_of(tasks, 0.5)
    both = range(20, 30)
    assert {i for i in both if i in held["one"]} == {i for i in both if i - 20 in held["two"]}
    assert (len(held["one"]), len(held["two"])) == (15, 20)
    assert 0 < sum(i in held["one"] for i in both) < 10


@pytest.mark.parametrize(
    ("rows", "fraction", "words"),
    [
        ([("a",)], 0.5, ("1 of 1 train examples of mine", "0 to 0,")),
        ([("a",), ("b",)], 0.9, ("2 of 2 train examples of mine", "0 to 0.5,")),
        ([("a",), ("b",), ("c",)], 0.9, ("3 of 3 train examples of mine", "0 to 0.666,")),
        ([("a", "b"), ("b", "c"), ("c", "d")], 0.4, ("mine", "link all 3 train examples")),
        ([("a",), ("A ",)], 0.5, ("mine", "link all 2 train examples")),
    ],
)
def test_a_task_that_cannot_be_parted_is_named(rows, fraction, words):
    with pytest.raises(UserError) as caught:
        hold_out({"mine": examples_of(rows)}, fraction)
    assert caught.value.where == "suite.select_fraction"
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("size", [2, 3, 7, 1000])
def test_the_most_that_the_error_allows_is_allowed(size):
    rows = [(f"text {number}",) for number in range(size)]
    with pytest.raises(UserError) as caught:
        hold_out({"mine": examples_of(rows)}, 0.9999)
    most = float(str(caught.value).partition("0 to ")[2].partition(",")[0])
    assert len(held_of({"mine": rows}, most)["mine"]) >= round((size - 1) * 0.99)


def test_a_task_of_large_groups_gives_one_of_its_smallest():
    rows = [(text, f"{text}{i}") for text, size in (("a", 4), ("b", 3), ("c", 5))
            for i in range(size)]  # fmt: skip
    assert held_of({"one": rows}, 0.1) == {"one": {4, 5, 6}}


def test_each_source_says_how_many_it_gave():
    examples = examples_of([(f"text {i}",) for i in range(7)])
    sources = {"own": SourceCount(4, 1), "more": SourceCount(3, 0)}
    held = np.array([True, False, True, False, False, False, True])
    splits = split_held(LoadedExamples(examples, 1, ["a.csv:3: bad"], sources), held)
    assert [example.id for example in splits["train"].examples] == ["1", "3", "4", "5"]
    assert [example.id for example in splits["select"].examples] == ["0", "2", "6"]
    assert splits["train"].sources == {"own": SourceCount(2, 1), "more": SourceCount(2, 0)}
    assert splits["select"].sources == {"own": SourceCount(2, 0), "more": SourceCount(1, 0)}
    assert (splits["train"].bad_rows, splits["train"].first_bad) == (1, ["a.csv:3: bad"])
    assert (splits["select"].bad_rows, splits["select"].first_bad) == (0, [])


def held_ids():
    rows = {task: bundled_examples(task, "train", 0, 0.8)[:300] for task in ("quora", "sst", "sts")}
    held = hold_out(rows, 0.1)
    return [[e.id for e, out in zip(rows[task], held[task], strict=True) if out] for task in rows]


PROCESS = f"""
from mtl_sharing.data.examples.bundled import bundled_examples
from mtl_sharing.data.examples.holdout import hold_out
{inspect.getsource(held_ids)}
print(held_ids())
"""


def test_every_process_cuts_alike():
    ids = held_ids()
    assert [len(held) for held in ids] == [30, 30, 30]
    # A seed other than this process's own, so that sets and dicts differ.
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    other = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True,
                           env=environment, check=True)  # fmt: skip
    assert other.stdout.strip() == str(ids)


def test_the_cut_never_changes():
    """Names of what is held out, so that results of other machines and versions compare."""
    rows = [(f"text {number}",) for number in range(12)]
    # Of the sums that the command sha256sum gives for these texts, the three smallest.
    assert held_of({"one": rows}, 0.25) == {"one": {6, 7, 11}}


@pytest.mark.data
def test_real_pairs_part_without_a_shared_text(course_data):
    config = load_config("suite=cs224n_extra", f"data_dir={course_data}")
    examples = {
        name: load_examples(task_spec(name, task), "train", course_data, max_rows=20_000).examples
        for name, task in config.task.items()
    }
    held = hold_out(examples, 0.1)
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    for name, rows in examples.items():
        assert held[name].sum() == round(0.1 * len(rows))
        for example, out in zip(rows, held[name], strict=True):
            texts = (example.text, *([] if example.text_pair is None else [example.text_pair]))
            sides[bool(out)] |= set(plain(texts))
    assert sides[True].isdisjoint(sides[False])
