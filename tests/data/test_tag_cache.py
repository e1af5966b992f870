"""Texts go through the spaCy pipeline once, and what is kept is what would be computed."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.settings import TagsConfig
from mtl_sharing.data.text.tagging import tag_scheme
from mtl_sharing.data.tokens import tag_cache
from mtl_sharing.data.tokens.batches import encode_examples
from mtl_sharing.data.tokens.masking import MaskedBatches, Vocabulary
from mtl_sharing.data.tokens.tag_cache import TaggedEncoding
from mtl_sharing.data.tokens.tokenizing import TokenCache, encode, train_tokenizer
from mtl_sharing.errors import UserError
from mtl_sharing.job.timing import timed_text
from spacy_pipelines import POS, make_pipeline

WORDS = [*POS, "brown fox", "zebra", "snowflake"]
RANDOM = np.random.default_rng(41)
TEXTS = [" ".join(RANDOM.choice(WORDS, RANDOM.integers(1, 9))) for _ in range(40)]
PAIRS = list(zip(TEXTS[:20], TEXTS[20:], strict=True))


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 60)


@pytest.fixture(scope="module")
def shared_pipeline(tmp_path_factory):
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "en")


@pytest.fixture
def pipeline(shared_pipeline, tmp_path):
    """A pipeline's folder, which a test may change."""
    return shutil.copytree(shared_pipeline, tmp_path / "en")


@pytest.fixture
def store(tmp_path):
    return ArrayStore(tmp_path / "cache", 10**7)


@pytest.fixture
def tagged_texts(monkeypatch):
    """How many texts went through a pipeline, call by call."""
    calls, real = [], tag_cache.tag_words

    def counted(nlp, scheme, texts):
        calls.append(len(texts))
        return real(nlp, scheme, texts)

    monkeypatch.setattr(tag_cache, "tag_words", counted)
    return calls


def tags(pipeline, store, tokenizer, texts=TEXTS, limit=16, **wanted):
    scheme = tag_scheme(TagsConfig(str(pipeline), **wanted))
    return TaggedEncoding(encode, scheme, store).encode(tokenizer, texts, limit).tags


@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_what_is_kept_is_what_is_computed(pipeline, store, tokenizer, tagged_texts, texts):
    fresh = tags(pipeline, None, tokenizer, texts)
    assert fresh.any(axis=0).all()
    assert len(fresh) == len(encode(tokenizer, texts, 16).tokens)
    tagged_texts.clear()
    for _ in range(3):
        kept = tags(pipeline, store, tokenizer, texts)
        assert np.array_equal(kept, fresh) and kept.dtype == fresh.dtype
    assert sum(tagged_texts) == len(TEXTS)  # by the first of the three alone


def test_a_text_is_tagged_once_however_it_is_encoded(pipeline, store, tokenizer, tagged_texts):
    plain = TaggedEncoding(encode, tag_scheme(TagsConfig(str(pipeline))), None)
    tags(pipeline, store, tokenizer, PAIRS)
    assert tagged_texts == [20, 20]
    for again in (PAIRS, TEXTS[:20], TEXTS[20:]):
        for limit in (8, 16):
            found = tags(pipeline, store, tokenizer, again, limit)
            assert np.array_equal(found, plain.encode(tokenizer, again, limit).tags)
    other = train_tokenizer(TEXTS, 50)
    del tagged_texts[2:]
    found = tags(pipeline, store, other, PAIRS)
    assert tagged_texts == [20, 20]
    assert np.array_equal(found, plain.encode(other, PAIRS, 16).tags)


def test_a_pipeline_is_loaded_only_for_texts_that_are_new(pipeline, store, tokenizer, monkeypatch):
    scheme = tag_scheme(TagsConfig(str(pipeline)))
    TaggedEncoding(encode, scheme, store).encode(tokenizer, TEXTS, 16)
    monkeypatch.delattr(tag_cache, "load_pipeline")
    TaggedEncoding(encode, scheme, store).encode(tokenizer, TEXTS, 16)
    with pytest.raises(NameError):
        TaggedEncoding(encode, scheme, store).encode(tokenizer, TEXTS[1:], 16)


def spoil(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut(path):
    os.truncate(path, 60)


def rarely(damage):
    return pytest.param(damage, marks=pytest.mark.slow)


@pytest.mark.parametrize("damage", [spoil, rarely(cut), rarely(Path.unlink)])
@pytest.mark.parametrize(("kind", "name"), [("tags", "tags"), ("words", "spans")])
def test_a_damaged_entry_is_made_anew(
    pipeline, store, tokenizer, tagged_texts, caplog, damage, kind, name
):
    wanted = tags(pipeline, store, tokenizer).copy()  # it lies in the file
    cache = pipeline.parent / "cache"
    (entry,) = cache.glob(f"{kind}-*")
    damage(entry / f"{name}.npy")
    tagged_texts.clear()
    if kind == "words":  # else the damage is not looked at
        (whole,) = cache.glob("tags-*")
        spoil(whole / "tags.npy")
    assert np.array_equal(tags(pipeline, store, tokenizer), wanted)
    assert "damaged cache entry is removed" in caplog.text
    assert tagged_texts == ([] if kind == "tags" else [40])
    assert np.array_equal(tags(pipeline, store, tokenizer), wanted)
    assert tagged_texts == ([] if kind == "tags" else [40])


def newer_version(folder):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"version": "0.0.1"}))


@pytest.mark.slow
def test_another_pipeline_is_another_key(pipeline, store, tokenizer, tagged_texts, tmp_path):
    first = tags(pipeline, store, tokenizer)
    changes = [
        lambda: make_pipeline(pipeline, pos=POS | {"zebra": "NOUN"}),
        lambda: make_pipeline(pipeline, entities={"zebra": "ANIMAL"}),
        lambda: newer_version(pipeline),
    ]
    for number, change in enumerate(changes, 2):
        change()
        found = tags(pipeline, store, tokenizer)
        assert len(tagged_texts) == number
        assert np.array_equal(found, tags(pipeline, None, tokenizer))
        tagged_texts.pop()
        assert number == 4 or not np.array_equal(found, first)
    for wanted in ({"pos": False}, {"ner": False}):
        found = tags(pipeline, store, tokenizer, **wanted)
        assert found.any(axis=0).tolist() == [wanted.get("pos", True), wanted.get("ner", True)]
    assert len(tagged_texts) == 6


def test_the_same_pipeline_elsewhere_has_the_same_key(pipeline, tmp_path):
    other = tmp_path / "elsewhere"
    pipeline.rename(other)
    (other / "__pycache__").mkdir()
    (other / "__pycache__" / "x.pyc").write_bytes(b"1")
    moved = tag_scheme(TagsConfig(str(other))).digest
    (other / "__pycache__" / "x.pyc").write_bytes(b"2")
    assert tag_scheme(TagsConfig(str(other))).digest == moved
    other.rename(pipeline)
    assert tag_scheme(TagsConfig(str(pipeline))).digest == moved


def test_a_pipeline_without_parts_of_speech_is_refused(tmp_path, tokenizer):
    folder = make_pipeline(tmp_path / "en", pos={})
    for ner_alone in (False, True):
        scheme = tag_scheme(TagsConfig(str(folder), pos=not ner_alone))
        encoding = TaggedEncoding(encode, scheme, None)
        encoding.encode(tokenizer, TEXTS, 16)
        if ner_alone:
            encoding.check()
        else:
            with pytest.raises(UserError, match="gives no word a part of speech"):
                encoding.check()


@pytest.fixture
def data(pipeline, store, tokenizer):
    """Pairs that are encoded separately, tagged, with the tokens' cache below."""
    scheme = tag_scheme(TagsConfig(str(pipeline)))
    how = TaggedEncoding(TokenCache(store).encode, scheme, store).encode
    examples = [Example(str(n), *pair, n % 2) for n, pair in enumerate(PAIRS)]
    return encode_examples(examples, tokenizer, 16, False, True, how)


def test_a_batch_holds_the_tags_of_its_tokens(data, tokenizer, pipeline):
    some = data.sample(11, seed=3)
    for encoded, rows in ((data, [5, 2, 19]), (some, [10, 0, 4])):
        text = encoded.collate(rows).text
        parts = [encoded.first, encoded.second]
        numbers = [(p, range(p.offsets[row], p.offsets[row + 1])) for p in parts for row in rows]
        wanted = [p.tags[n].tolist() for p, places in numbers for n in places]
        assert text.tags.dtype == torch.int64 and text.tags.tolist() == wanted
        assert [p.tokens[n] for p, places in numbers for n in places] == text.tokens.tolist()
        moved = text.to(torch.device("cpu"))
        assert torch.equal(moved.tags, text.tags)
    # A word's number decides its tags: what `sample` took goes with the tokens.
    pairs = {
        (int(token), *map(int, tag))
        for part in (some.first, some.second)
        for token, tag in zip(part.tokens, part.tags, strict=True)
    }
    known = {
        (int(token), *map(int, tag))
        for part in (data.first, data.second)
        for token, tag in zip(part.tokens, part.tags, strict=True)
    }
    assert pairs <= known


def test_the_timed_text_has_the_tags_of_every_task(data):
    text = timed_text({"a": data, "b": data})
    assert text.tags.shape == (len(text.tokens), 2)
    half = len(text.tokens) // 2
    assert torch.equal(text.tags[:half], text.tags[half:]) and text.tags.any()


def test_masked_text_does_not_tell_a_hidden_words_tags(data, tokenizer):
    vocabulary = Vocabulary.of(tokenizer)
    assert MaskedBatches("a", data, 5, 3, vocabulary, second=True)[0].text.tags is None
