"""Tokens from the cache are those that the tokenizer gives, and never another text's."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tokens import tokenizing
from mtl_sharing.data.tokens.batches import TrainingBatches, encode_examples, evaluation_batches
from mtl_sharing.data.tokens.tokenizing import TokenCache, encode, token_key, train_tokenizer

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "wizard", "box"]
RANDOM = np.random.default_rng(31)
TEXTS = [" ".join(RANDOM.choice(WORDS, RANDOM.integers(1, 12))) for _ in range(60)]
PAIRS = list(zip(TEXTS[:30], TEXTS[30:], strict=True))


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 90)


@pytest.fixture
def make_cache(tmp_path):
    """A cache as each run makes one for itself, in the same folder."""
    return lambda max_bytes=10**7: TokenCache(ArrayStore(tmp_path / "cache", max_bytes))


def equal(one, two):
    names = ("tokens", "token_types", "offsets")
    return one.truncated == two.truncated and all(
        np.array_equal(getattr(one, name), getattr(two, name))
        and getattr(one, name).dtype == getattr(two, name).dtype
        for name in names
    )


@pytest.mark.parametrize("texts", [TEXTS, PAIRS, TEXTS[:1], []], ids=["texts", "pairs", "1", "0"])
def test_the_cache_gives_what_the_tokenizer_gives(make_cache, tokenizer, texts):
    wanted = encode(tokenizer, texts, 8)
    for found in (0, 1):
        cache = make_cache()
        assert equal(cache.encode(tokenizer, texts, 8), wanted)
        assert (cache.asked, cache.found) == (1, found)
    assert wanted.truncated > 0 or len(texts) < 2


def test_what_cannot_be_stored_is_still_given(make_cache, tokenizer):
    for _ in range(2):
        cache = make_cache(max_bytes=100)
        assert equal(cache.encode(tokenizer, TEXTS, 8), encode(tokenizer, TEXTS, 8))
        assert cache.found == 0


def other_tokenizer(change):
    """The tests' tokenizer with one thing about it changed."""
    tokenizer = train_tokenizer(TEXTS, 90)
    change(tokenizer)
    return tokenizer


INGREDIENTS = {
    "another text": lambda t: (t, [*TEXTS[:-1], TEXTS[-1] + "."], 8),
    "another order": lambda t: (t, TEXTS[::-1], 8),
    "one text less": lambda t: (t, TEXTS[:-1], 8),
    "one empty text more": lambda t: (t, [*TEXTS, ""], 8),
    "other bounds between texts": lambda t: (
        t, [TEXTS[0] + TEXTS[1][0], TEXTS[1][1:], *TEXTS[2:]], 8),
    "pairs": lambda t: (t, PAIRS, 8),
    "other pairs of the same texts": lambda t: (t, list(zip(*[iter(TEXTS)] * 2, strict=True)), 8),
    "another limit": lambda t: (t, TEXTS, 9),
    "another vocabulary": lambda t: (train_tokenizer(TEXTS, 80), TEXTS, 8),
    "another token": lambda t: (other_tokenizer(lambda o: o.add_tokens(["wiz"])), TEXTS, 8),
    "another normaliser": lambda t: (
        other_tokenizer(lambda o: setattr(o.normalizer, "lowercase", False)), TEXTS, 8),
}  # fmt: skip


def test_every_ingredient_has_its_own_key(tokenizer, monkeypatch):
    keys = {token_key(tokenizer, TEXTS, 8)}
    for change in INGREDIENTS.values():
        keys.add(token_key(*change(tokenizer)))
    for place, value in (("tokenizers.__version__", "0.0"), ("_SCHEMA", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(f"{tokenizing.__name__}.{place}", value)
            keys.add(token_key(tokenizer, TEXTS, 8))
    assert len(keys) == 1 + len(INGREDIENTS) + 2


def test_a_key_is_the_same_whatever_was_encoded_before(tokenizer):
    wanted = token_key(tokenizer, TEXTS, 8)
    encode(tokenizer, PAIRS, 5)
    assert token_key(tokenizer, TEXTS, 8) == wanted
    assert token_key(train_tokenizer(TEXTS, 90), TEXTS, 8) == wanted
    tokenizer.no_truncation()
    assert token_key(tokenizer, TEXTS, 8) == wanted


KEY = """
import sys
from tokenizers import Tokenizer
from mtl_sharing.data.tokens.tokenizing import token_key
print(token_key(Tokenizer.from_file(sys.argv[1]), sys.stdin.read().splitlines(), 8))
"""


def test_a_key_is_the_same_in_every_process(tokenizer, tmp_path):
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    other = subprocess.run([sys.executable, "-c", KEY, file], input="\n".join(TEXTS), text=True,
                           capture_output=True, env=environment, check=True)  # fmt: skip
    assert other.stdout.strip() == token_key(tokenizer, TEXTS, 8)


def batches_of(data):
    """Training, evaluation and sampled batches, as a run takes them."""
    training = TrainingBatches("a", data, 7, seed=3)
    yield from (training[number] for number in range(9))
    yield from (batch for _, batch in evaluation_batches(data, 8))
    yield data.sample(13, seed=2).collate(range(13))


@pytest.mark.parametrize("joined", [True, False])
def test_batches_from_the_cache_are_the_same(make_cache, tokenizer, joined):
    examples = [Example(str(i), a, b, i % 2) for i, (a, b) in enumerate(PAIRS)]

    def data(how):
        return encode_examples(examples, tokenizer, 8, joined, True, how)

    fresh, _, warm = data(encode), data(make_cache().encode), data(make_cache().encode)
    assert not warm.first.tokens.flags.writeable
    assert warm.truncated == fresh.truncated
    for ours, wanted in zip(batches_of(warm), batches_of(fresh), strict=True):
        assert torch.equal(ours.text.tokens, wanted.text.tokens)
        assert torch.equal(ours.text.token_types, wanted.text.token_types)
        assert ours.text.lengths == wanted.text.lengths
        assert torch.equal(ours.labels, wanted.labels)
        assert ours.text.tokens.dtype == torch.int64
        ours.text.tokens[0] = -1  # memory of the batch's own
    assert equal(data(make_cache().encode).first, fresh.first)


def test_text_that_is_no_unicode_has_a_key(tokenizer):
    assert token_key(tokenizer, ["\ud800"], 8) != token_key(tokenizer, ["?"], 8)


def test_entries_say_what_they_were_made_from(make_cache, tokenizer, tmp_path):
    make_cache().encode(tokenizer, PAIRS, 8)
    (folder,) = Path(tmp_path / "cache").iterdir()
    entry = ArrayStore(tmp_path / "cache", 10**7).open(*folder.name.split("-"))
    assert entry.about["texts"] == 30
    assert entry.about["pairs"] is True
    assert entry.about["max_length"] == 8
