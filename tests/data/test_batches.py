"""Batches of one task: what is in them, and that only their number decides it."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_sharing.batch import Ladder
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tokens.batches import (
    EncodedTask,
    TrainingBatches,
    encode_examples,
    evaluation_batches,
    evaluation_ladder,
    training_ladder,
)
from mtl_sharing.data.tokens.tokenizing import TokenRows, encode, train_tokenizer

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "wizard", "box"]
RANDOM = np.random.default_rng(29)
TEXTS = [" ".join(RANDOM.choice(WORDS, RANDOM.integers(1, 12))) for _ in range(60)]


def rows_of(lengths, first=0):
    """Sequences of these lengths whose tokens are ``first`` plus the sequence's number."""
    numbers = np.repeat(np.arange(len(lengths)), lengths) + first
    offsets = np.append(0, np.cumsum(lengths)).astype(np.int64)
    return TokenRows(numbers.astype(np.int32), (numbers % 2).astype(np.uint8), offsets, 0)


def task_of(size, pairs=False):
    """A task whose labels are the numbers of its examples."""
    lengths = np.random.default_rng(size).integers(1, 9, size)
    second = rows_of(lengths[::-1], first=1000) if pairs else None
    return EncodedTask(rows_of(lengths), second, np.arange(size, dtype=float), class_labels=True)


def same(one, two):
    return (
        torch.equal(one.text.tokens, two.text.tokens)
        and torch.equal(one.text.token_types, two.text.token_types)
        and one.text.lengths == two.text.lengths
        and torch.equal(one.labels, two.labels)
    )


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 90)


@settings(deadline=None)
@given(
    st.integers(1, 400),
    st.integers(1, 17),
    st.integers(0, 3),
    st.sampled_from([None, Ladder(8), Ladder(32)]),
)
def test_every_epoch_covers_every_example_once(size, batch_size, epoch, ladder):
    batches = TrainingBatches("a", task_of(size), batch_size, seed=3, ladder=ladder)
    result = [batches[epoch * len(batches) + i].labels for i in range(len(batches))]
    assert sorted(torch.cat(result).tolist()) == list(range(size))


@settings(deadline=None)
@given(
    st.integers(1, 200),
    st.integers(1, 17),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, Ladder(8), Ladder(32)]),
)
def test_a_batch_has_the_teachers_outputs_of_its_own_examples(size, batch, pairs, fill, ladder):
    data = task_of(size, pairs)
    data = replace(data, teacher=np.stack([data.labels * 2, -data.labels], 1).astype(np.float32))
    batches = TrainingBatches("a", data, batch, seed=3, ladder=ladder, fill=fill)
    several = [batches[number] for number in range(2 * len(batches))]
    several += [one for _, one in evaluation_batches(data.sample(size // 2 + 1, 7), batch, fill)]
    for one in several:
        wanted = torch.stack([one.labels * 2, -one.labels], 1).float()
        assert torch.equal(one.to(torch.device("cpu")).teacher, wanted)


@pytest.mark.parametrize("size", [1, 64, 10_000])
def test_few_texts_are_not_filled_for_a_large_batch(size):
    data = task_of(3)
    for ladder in (training_ladder([(data, size)]), evaluation_ladder(data.lengths, size)):
        assert ladder.rows <= max(8, data.lengths.sum())
    ((_, batch),) = evaluation_batches(data, max(3, size), steady=True)
    assert len(batch.text.tokens) < sum(batch.text.lengths) + 8


@pytest.mark.parametrize("pairs", [False, True])
def test_composed_batches_nearly_fill_their_rungs(pairs):
    lengths = np.random.default_rng(1).lognormal(3.2, 0.5, 1003).astype(int) + 3
    second = rows_of(lengths[::-1]) if pairs else None
    data = EncodedTask(rows_of(lengths), second, np.arange(1003.0), class_labels=True)
    ladder = training_ladder([(data, 16)])
    batches = TrainingBatches("a", data, 16, 3, ladder)
    rows, tokens, sizes = 0, 0, set()
    for number in range(2 * len(batches)):
        text = batches[number].text
        size = batches.size(number)
        assert (size.rows, size.sequences) == (len(text.tokens), len(text.lengths))
        assert size.longest == max(text.lengths) and size.rows % ladder.rows == 0
        assert 0 <= size.rows - sum(text.lengths) < ladder.rows
        rows, tokens, sizes = rows + size.rows, tokens + sum(text.lengths), sizes | {size.rows}
    assert rows < 1.04 * tokens
    assert len(sizes) < 25


@pytest.mark.parametrize(("size", "batch_size"), [(17, 16), (23, 7), (12, 8), (5, 8), (16, 8)])
def test_every_example_has_the_same_weight(size, batch_size):
    """Over as many epochs as there are examples, each is in the short batch as often."""
    batches = TrainingBatches("a", task_of(size), batch_size, seed=5)
    weights = torch.zeros(size, dtype=torch.float64)
    for number in range(size * len(batches)):
        labels = batches[number].labels
        weights[labels.long()] += 1 / len(labels)
    torch.testing.assert_close(weights, torch.full_like(weights, len(batches)))


def test_the_short_batch_falls_on_other_examples_in_the_next_epoch():
    batches = TrainingBatches("a", task_of(23), 7, seed=5)
    short = []
    for epoch in range(11):
        drawn = [batches[epoch * len(batches) + n].labels.tolist() for n in range(len(batches))]
        short += min(drawn, key=len)
    assert sorted(short[:22]) == sorted(set(short[:22]))


@settings(deadline=None)
@given(st.lists(st.integers(0, 90), min_size=1, max_size=12))
def test_a_batch_depends_on_its_number_alone(numbers):
    data = task_of(101)
    asked = TrainingBatches("a", data, 7, seed=3)
    for number in numbers:
        assert same(asked[number], TrainingBatches("a", data, 7, seed=3)[number])


@pytest.mark.parametrize(("task", "seed", "number"), [("b", 3, 0), ("a", 4, 0), ("a", 3, 15)])
def test_task_seed_and_epoch_each_shuffle_anew(task, seed, number):
    data = task_of(101)  # 15 batches of 7
    first, other = TrainingBatches("a", data, 7, 3), TrainingBatches(task, data, 7, seed)
    order = torch.cat([first[i].labels for i in range(15)])
    assert not torch.equal(order, torch.cat([other[number + i].labels for i in range(15)]))


def test_batches_hold_texts_of_similar_length_in_no_fixed_order():
    data = task_of(400)
    batches = TrainingBatches("a", data, 8, seed=3)
    lengths = [batches[i].text.lengths for i in range(len(batches))]
    assert sum(max(each) - min(each) for each in lengths) < len(lengths)
    means = [sum(each) for each in lengths]
    assert means != sorted(means)


def test_collate_of_single_texts():
    data = EncodedTask(rows_of([2, 1, 3]), None, np.array([0.5, 1.5, 2.5]), class_labels=False)
    batch = data.collate([2, 0])
    assert batch.text.tokens.tolist() == [2, 2, 2, 0, 0]
    assert batch.text.token_types.tolist() == [0] * 5
    assert batch.text.lengths == (3, 2)
    assert (batch.labels.tolist(), batch.labels.dtype) == ([2.5, 0.5], torch.float32)
    assert same(batch, data.collate(np.array([2, 0])))
    assert same(batch, data.collate((2, 0)))


def test_collate_of_separate_pairs_puts_first_texts_before_second_ones():
    data = EncodedTask(
        rows_of([2, 1, 3]), rows_of([1, 4, 2], first=10), np.array([0.0, 1, 0]), True
    )
    batch = data.collate([2, 1])
    assert batch.text.tokens.tolist() == [2, 2, 2, 1, 12, 12, 11, 11, 11, 11]
    assert batch.text.token_types.tolist() == [0, 0, 0, 1, 0, 0, 1, 1, 1, 1]
    assert batch.text.lengths == (3, 1, 2, 4)
    assert (batch.labels.tolist(), batch.labels.dtype) == ([0, 1], torch.int64)
    assert data.lengths.tolist() == [3, 5, 5]


@settings(deadline=None)
@given(st.lists(st.integers(0, 22), min_size=1, max_size=12), st.booleans())
def test_a_batch_is_its_examples_one_after_the_other(numbers, pairs):
    data = task_of(23, pairs)
    batch = data.collate(numbers)
    spans = [
        (part, part.offsets[i], part.offsets[i + 1])
        for part in ([data.first, data.second] if pairs else [data.first])
        for i in numbers
    ]
    assert batch.text.tokens.tolist() == [t for p, a, b in spans for t in p.tokens[a:b].tolist()]
    types = [t for p, a, b in spans for t in p.token_types[a:b].tolist()]
    assert batch.text.token_types.tolist() == types
    assert batch.text.lengths == tuple(b - a for _, a, b in spans)
    assert all(type(length) is int for length in batch.text.lengths)


@settings(deadline=None)
@given(st.integers(1, 100), st.integers(1, 17), st.booleans())
def test_evaluation_covers_every_example_once_by_number(size, batch_size, pairs):
    data = task_of(size, pairs)
    numbers = []
    for rows, batch in evaluation_batches(data, batch_size):
        assert batch.labels.tolist() == rows.tolist()
        assert batch.text.tokens[0] == rows[0]
        assert len(batch.text.lengths) == len(rows) * (1 + pairs)
        numbers += rows.tolist()
    assert sorted(numbers) == list(range(size))


def test_a_sample_keeps_texts_pairs_and_labels_together():
    data = task_of(50, pairs=True)
    sample = data.sample(13, seed=2)
    numbers = sample.labels.astype(int)
    assert len(set(numbers)) == len(sample) == 13
    batch, expected = sample.collate(range(13)), data.collate(numbers)
    assert same(batch, expected)
    assert same(batch, data.sample(13, seed=2).collate(range(13)))
    assert numbers.tolist() != data.sample(13, seed=3).labels.tolist()
    assert data.sample(None, 0) is data.sample(50, 0) is data


def examples(pairs):
    halves = zip(TEXTS[:30], TEXTS[30:] if pairs else [None] * 30, strict=True)
    return [Example(str(i), a, b, i % 2) for i, (a, b) in enumerate(halves)]


def test_texts_are_cut_at_the_limit_and_counted(tokenizer):
    whole = encode(tokenizer, TEXTS, 100)
    cut = encode(tokenizer, TEXTS, 8)
    assert whole.truncated == 0
    assert 0 < cut.truncated == sum(whole.lengths > 8) < len(TEXTS)
    assert cut.lengths.tolist() == whole.lengths.clip(max=8).tolist()
    assert (cut.tokens[cut.offsets[1:] - 1] == tokenizer.token_to_id("[SEP]")).all()


def test_joined_pairs_are_one_sequence_with_two_types(tokenizer):
    data = encode_examples(examples(True), tokenizer, 100, joined=True, class_labels=True)
    apart = encode_examples(examples(True), tokenizer, 100, joined=False, class_labels=True)
    assert data.second is None
    # [CLS] a [SEP] b [SEP] against [CLS] a [SEP] and [CLS] b [SEP]
    assert data.first.lengths.tolist() == (apart.first.lengths + apart.second.lengths - 1).tolist()
    types = data.collate([4]).text.token_types
    first = int(apart.first.lengths[4])
    assert types.tolist() == [0] * first + [1] * (len(types) - first)


def test_separate_pairs_are_two_sequences(tokenizer):
    data = encode_examples(examples(True), tokenizer, 8, joined=False, class_labels=True)
    firsts, seconds = (encode(tokenizer, part, 8) for part in (TEXTS[:30], TEXTS[30:]))
    assert data.truncated == firsts.truncated + seconds.truncated > 0
    batch = data.collate([3, 7])
    expected = [tokenizer.encode(TEXTS[i]).ids for i in (3, 7, 33, 37)]
    assert batch.text.tokens.tolist() == [token for ids in expected for token in ids]


def test_single_texts_have_no_second(tokenizer):
    data = encode_examples(examples(False), tokenizer, 100, joined=True, class_labels=True)
    assert data.second is None
    assert set(data.first.token_types.tolist()) == {0}
    assert data.labels.tolist() == [i % 2 for i in range(30)]


TRAIN = """
import sys
from mtl_sharing.data.tokens.tokenizing import train_tokenizer
sys.stdout.write(train_tokenizer(sys.stdin.read().splitlines(), 90).to_str())
"""


def test_a_tokenizer_is_the_same_in_every_process(tokenizer):
    # Equal counts everywhere, so that the trainer's ties matter.
    texts = [word for word in WORDS for _ in range(3)]
    expected = train_tokenizer(texts, 90).to_str()
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    other = subprocess.run([sys.executable, "-c", TRAIN], input="\n".join(texts), text=True,
                           capture_output=True, env=environment, check=True)  # fmt: skip
    assert other.stdout == expected
    assert expected != tokenizer.to_str()


def test_only_the_five_special_tokens_are_looked_for_in_texts(tokenizer):
    result = tokenizer.encode("##a dog")
    assert result.tokens[:2] == ["[CLS]", "[UNK]"]
    assert "##a" not in result.tokens
    assert tokenizer.encode("fox [MASK]").tokens == ["[CLS]", "fox", "[MASK]", "[SEP]"]
