"""Which tokens are hidden, what stands in their place, and that a batch's number decides it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.implementations import ByteLevelBPETokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
from tokenizers.models import BPE, Unigram, WordLevel

from mtl_sharing.data.tokens.batches import EncodedTask, TrainingBatches
from mtl_sharing.data.tokens.masking import MaskedBatches, Vocabulary, mask_tokens
from mtl_sharing.data.tokens.stored_states import StateFile, StoredStates, checksum
from mtl_sharing.data.tokens.tokenizing import TokenRows, encode
from mtl_sharing.errors import UserError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["un", "##afford", "##able", "runn", "##ing", "dog", "cat", "very", "##s", "house", "!"]
WORDPIECE = {token: number for number, token in enumerate([*SPECIAL, *PIECES])}
WORDS = ["unaffordable", "running", "dog", "dogs", "cats", "very", "houses", "zebra", "!"]
MASK, FIRST = WORDPIECE["[MASK]"], len(SPECIAL)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_str(BertWordPieceTokenizer(dict(WORDPIECE), lowercase=True).to_str())


@pytest.fixture(scope="module")
def vocabulary(tokenizer):
    return Vocabulary.of(tokenizer)


def plain(size):
    """Four special ids, the fourth the mask; all others are words of one piece."""
    special = np.arange(size) < 4
    return Vocabulary(3, np.arange(4, size), special, np.zeros(size, dtype=bool))


def hide(tokens, lengths, vocabulary, rate=0.15, whole_word=False, seed=0):
    random, tokens = np.random.default_rng(seed), np.asarray(tokens)
    hidden, picked = mask_tokens(tokens, lengths, vocabulary, rate, whole_word, random)
    return SimpleNamespace(tokens=hidden, picked=picked, labels=tokens[picked])


def test_the_vocabulary_of_word_pieces(vocabulary):
    assert (vocabulary.mask, len(vocabulary.special)) == (4, 16)
    assert np.flatnonzero(vocabulary.special).tolist() == [0, 1, 2, 3, 4]
    assert vocabulary.ordinary.tolist() == list(range(5, 16))
    assert np.flatnonzero(vocabulary.continues).tolist() == [6, 7, 9, 13]


def byte_level(special):
    trained = ByteLevelBPETokenizer()
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(["low lower lowest"] * 9, vocab_size=275, special_tokens=names)
    parts = trained.to_str()
    if special:
        return Tokenizer.from_str(parts)
    # As made from vocab.json and merges.txt alone.
    return Tokenizer.from_str(parts[: parts.index('"added_tokens":')] + '"added_tokens":[],' +
                              parts[parts.index('"normalizer":'):])  # fmt: skip


@pytest.mark.parametrize("special", [True, False])
def test_the_vocabulary_of_byte_level_pieces(special):
    tokenizer = byte_level(special)
    assert bool(tokenizer.get_added_tokens_decoder()) == special
    result = Vocabulary.of(tokenizer)
    assert (result.mask, np.flatnonzero(result.special).tolist()) == (4, [0, 1, 2, 3, 4])
    ids = tokenizer.get_vocab()
    starts = {piece for piece, number in ids.items() if not result.continues[number]}
    assert starts - {"<s>", "<pad>", "</s>", "<unk>", "<mask>"} == {
        piece for piece in ids if piece.startswith("Ġ")
    }
    assert "Ġlow" in starts


def test_the_vocabulary_of_sentence_pieces():
    pieces = [("<unk>", 0.0), ("▁un", -1.0), ("able", -2.0), ("▁", -3.0), ("<mask>", -4.0)]
    result = Vocabulary.of(Tokenizer(Unigram(pieces, 0)))
    assert (result.mask, result.ordinary.tolist()) == (4, [1, 2, 3])
    assert result.continues.tolist() == [False, False, True, False, False]


def test_whole_words_have_no_pieces():
    ids = {"[MASK]": 0, "[UNK]": 1, "a": 2, "b": 5}
    result = Vocabulary.of(Tokenizer(WordLevel(ids, unk_token="[UNK]")))
    assert result.ordinary.tolist() == [2, 5]
    assert not result.continues.any()
    assert len(result.special) == 6


def test_a_tokenizer_without_a_mask_is_refused():
    with pytest.raises(UserError, match=r"encoder.tokenizer: found no mask token; .*<mask>"):
        Vocabulary.of(Tokenizer(BPE({"a": 0}, [])))


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 19), min_size=1, max_size=30), min_size=1, max_size=6),
    st.floats(0.05, 1.0),
    st.integers(0, 9),
)
def test_the_rate_is_kept_over_the_batch(sequences, rate, seed):
    tokens = np.concatenate(sequences)
    result = hide(tokens, tuple(map(len, sequences)), plain(20), rate, seed=seed)
    ordinary = int((tokens >= 4).sum())
    expected = max(1, round(rate * ordinary)) if ordinary else 0
    assert len(result.picked) == len(set(result.picked.tolist())) == expected
    assert (tokens[result.picked] >= 4).all()
    others = np.setdiff1d(np.arange(len(tokens)), result.picked)
    assert (result.tokens[others] == tokens[others]).all()
    assert result.picked.tolist() == sorted(result.picked.tolist())


def test_eight_of_ten_are_hidden_one_replaced_one_kept():
    size, count = 1004, 60_000
    tokens = np.random.default_rng(5).integers(4, size, count)
    result = hide(tokens, (count,), plain(size), rate=0.5)
    shown = result.tokens[result.picked]
    hidden, kept = shown == 3, shown == result.labels
    replaced = shown[~hidden & ~kept]
    # A replacement is the token itself once in 1000: the shares are 0.8, 0.1001 and 0.0999.
    for share, expected in ((hidden.mean(), 0.8), (kept.mean(), 0.1001)):
        assert abs(share - expected) < 4 * (expected * (1 - expected) / 30_000) ** 0.5
    assert replaced.min() >= 4
    # 3000 draws out of 1000 tokens leave about one in e^3 unseen.
    assert abs(len(set(replaced.tolist())) - 1000 * (1 - np.exp(-3))) < 40


def test_special_tokens_alone_hide_nothing():
    result = hide([0, 1, 2], (3,), plain(20))
    assert (len(result.picked), len(result.labels), result.tokens.tolist()) == (0, 0, [0, 1, 2])


def words_of(tokenizer, texts):
    """Tokens of texts, and for each the text and word that it belongs to, None for special ones."""
    tokens, words, lengths = [], [], []
    for number, text in enumerate(texts):
        encoding = tokenizer.encode(text)
        unknown = tokenizer.token_to_id("[UNK]")
        for token, word in zip(encoding.ids, encoding.word_ids, strict=True):
            tokens.append(token)
            words.append(None if word is None or token == unknown else (number, word))
        lengths.append(len(encoding.ids))
    return np.array(tokens), words, tuple(lengths)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9), min_size=1, max_size=5),
    st.floats(0.05, 1.0),
    st.integers(0, 9),
)
def test_the_pieces_of_a_word_are_chosen_together(tokenizer, vocabulary, texts, rate, seed):
    tokens, words, lengths = words_of(tokenizer, [" ".join(text) for text in texts])
    result = hide(tokens, lengths, vocabulary, rate, whole_word=True, seed=seed)
    chosen = {words[position] for position in result.picked}
    assert None not in chosen
    assert result.picked.tolist() == [p for p, word in enumerate(words) if word in chosen]
    ordinary = [word for word in words if word is not None]
    expected = max(1, round(rate * len(ordinary))) if ordinary else 0
    sizes = {word: ordinary.count(word) for word in ordinary}
    left = expected - len(result.picked)
    if left < 0:  # a first word that is longer than all that may be chosen
        assert len(chosen) == 1 and min(sizes.values()) > expected
    else:
        assert all(size > left for word, size in sizes.items() if word not in chosen)


def test_a_byte_level_word_ends_at_a_special_token():
    vocabulary = Vocabulary.of(byte_level(special=True))
    word = np.array(
        [word for word in range(len(vocabulary.special)) if vocabulary.continues[word]][:2]
    )
    tokens = np.concatenate([[0], word, [2, 2], word, [2]])  # <s> xy </s></s> xy </s>
    for seed in range(9):
        result = hide(tokens, (8,), vocabulary, rate=0.5, whole_word=True, seed=seed)
        assert result.picked.tolist() in ([1, 2], [5, 6])


def rows_of(lengths, first):
    tokens = np.random.default_rng(first).integers(FIRST, len(WORDPIECE), sum(lengths))
    offsets = np.append(0, np.cumsum(lengths)).astype(np.int64)
    return TokenRows(tokens.astype(np.int32), np.zeros(sum(lengths), np.uint8), offsets, 0)


def task_of(size, pairs=False):
    lengths = np.random.default_rng(size).integers(3, 12, size)
    second = rows_of(lengths[::-1], first=2) if pairs else None
    return EncodedTask(rows_of(lengths, first=1), second, np.zeros(size), class_labels=True)


def same(one, two):
    pairs = [(one.text.tokens, two.text.tokens), (one.text.picked, two.text.picked),
             (one.labels, two.labels)]  # fmt: skip
    return one.text.lengths == two.text.lengths and all(torch.equal(a, b) for a, b in pairs)


def restored(batch):
    tokens = batch.text.tokens.clone()
    tokens[batch.text.picked] = batch.labels
    return tokens


@settings(deadline=None)
@given(st.lists(st.integers(0, 90), min_size=1, max_size=9), st.booleans())
def test_a_batch_depends_on_its_number_alone(vocabulary, numbers, whole_word):
    data = task_of(47)
    asked = MaskedBatches("a", data, 5, 3, vocabulary, whole_word=whole_word)
    for number in numbers:
        anew = MaskedBatches("a", data, 5, 3, vocabulary, whole_word=whole_word)
        assert same(asked[number], anew[number])


@pytest.mark.parametrize("pairs", [False, True])
def test_batches_are_the_texts_of_training_with_tokens_hidden(vocabulary, pairs):
    data = task_of(47, pairs)
    result = MaskedBatches("a", data, 5, 3, vocabulary, rate=0.3, second=True)
    training = TrainingBatches("a", data, 5, 3)
    assert len(result) == len(training) == 10
    for number in range(20):
        batch, expected = result[number], training[number]
        assert torch.equal(restored(batch), expected.text.tokens)
        assert torch.equal(batch.labels, expected.text.tokens[batch.text.picked])
        assert batch.text.lengths == expected.text.lengths
        assert len(batch.labels) == round(0.3 * len(expected.text.tokens))
        assert (batch.text.tokens == MASK).sum() > 0
        assert (batch.labels.dtype, batch.text.picked.dtype) == (torch.int64, torch.int64)


def test_second_texts_are_left_out_unless_asked_for(vocabulary):
    data = task_of(47, pairs=True)
    result = MaskedBatches("a", data, 47, 3, vocabulary)[0]
    assert sorted(result.text.lengths) == sorted(data.first.lengths.tolist())
    assert sorted(restored(result).tolist()) == sorted(data.first.tokens.tolist())


@pytest.mark.parametrize(("task", "seed", "number"), [("b", 3, 0), ("a", 4, 0), ("a", 3, 1)])
def test_task_seed_and_epoch_each_hide_other_tokens(vocabulary, task, seed, number):
    data = EncodedTask(rows_of([30] * 5, 1), None, np.zeros(5), class_labels=True)
    first = MaskedBatches("a", data, 5, 3, vocabulary)[0].text.picked % 30
    other = MaskedBatches(task, data, 5, seed, vocabulary)[number].text.picked % 30
    assert not torch.equal(first, other)


def test_states_of_the_text_before_masking_are_not_used(vocabulary):
    data = task_of(9)
    values = np.ones((len(data.first.tokens), 2), np.float32)
    sums = [checksum(values[:length]) for length in data.first.lengths]
    states = StoredStates(values, data.first.offsets, np.array(sums, np.uint32), np.arange(9),
                          StateFile(lambda: None))  # fmt: skip
    known = replace(data, first=replace(data.first, states=states))
    assert TrainingBatches("a", known, 5, 3)[0].text.states is not None
    batch = MaskedBatches("a", known, 5, 3, vocabulary)[0]
    assert batch.text.states is None
    assert same(batch, MaskedBatches("a", data, 5, 3, vocabulary)[0])


def test_real_tokens_of_the_project_are_masked(tokenizer, vocabulary):
    rows = encode(tokenizer, ["very unaffordable dogs !", "running"], 20)
    data = EncodedTask(rows, None, np.zeros(2), class_labels=True)
    batch = MaskedBatches("a", data, 2, 0, vocabulary, rate=1.0, whole_word=True)[0]
    pieces = [tokenizer.id_to_token(number) for number in batch.labels.tolist()]
    one = ["very", "un", "##afford", "##able", "dog", "##s", "!"]
    assert pieces in ([*one, "runn", "##ing"], ["runn", "##ing", *one])
