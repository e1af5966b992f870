"""Texts in lemmas that are kept are those that the pipeline would give."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.data.text.cleaning import Lemmatizer, to_arrays, to_texts
from mtl_sharing.errors import UserError
from spacy_pipelines import make_pipeline

LEMMAS = {"mice": "mouse", "ran": "run", "été": "être"}
TEXTS = ["Three mice ran  away.", "", "été \U0001f42d mice", "none"]
WANTED = ["Three mouse run  away.", "", "être \U0001f42d mouse", "none"]


@pytest.fixture
def pipeline(tmp_path):
    return make_pipeline(tmp_path / "en", lemmas=LEMMAS)


@pytest.fixture
def store(tmp_path):
    return ArrayStore(tmp_path / "cache", 10**7)


@pytest.fixture
def computed(caplog):
    """Returns how many texts went through a pipeline, call by call."""
    caplog.set_level("INFO")
    name = "mtl_sharing.data.text.cleaning"
    return lambda: [record.args[0] for record in caplog.records if record.name == name]


def test_a_list_goes_through_the_pipeline_once(pipeline, store, computed):
    for _ in range(3):
        assert Lemmatizer(str(pipeline), store).lemmatize(TEXTS) == WANTED
    assert computed() == [4]
    assert Lemmatizer(str(pipeline), store).lemmatize(TEXTS[1:]) == WANTED[1:]
    assert Lemmatizer(str(pipeline), None).lemmatize(TEXTS) == WANTED
    assert computed() == [4, 3, 4]


@pytest.fixture
def both(pipeline, store):
    """Without a store and with one; loaded once for all of a property's examples."""
    return Lemmatizer(str(pipeline), None), Lemmatizer(str(pipeline), store)


@settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.text(max_size=9), max_size=4))
def test_what_is_kept_is_what_is_computed(both, texts):
    texts = ["mice", *texts]  # a pipeline that gives no lemma at all is refused
    plain, cached = both
    assert cached.lemmatize(texts) == plain.lemmatize(texts) == cached.lemmatize(texts)


@pytest.mark.parametrize("texts", [[], ["", ""]], ids=["none", "empty"])
def test_texts_without_a_letter_can_be_kept(texts):
    assert to_texts(to_arrays(texts)) == texts


@given(st.lists(st.text(max_size=9), max_size=4))
def test_arrays_hold_any_texts(texts):
    assert to_texts(to_arrays(texts)) == texts


def spoil(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut(path):
    os.truncate(path, 60)


def rarely(damage):
    return pytest.param(damage, marks=pytest.mark.slow)


@pytest.mark.parametrize("damage", [spoil, rarely(cut), rarely(Path.unlink)])
@pytest.mark.parametrize("name", ["bytes", "offsets"])
def test_a_damaged_entry_is_made_anew(pipeline, store, computed, caplog, damage, name):
    Lemmatizer(str(pipeline), store).lemmatize(TEXTS)
    (entry,) = (pipeline.parent / "cache").glob("lemmas-*")
    damage(entry / f"{name}.npy")
    for _ in range(2):
        assert Lemmatizer(str(pipeline), store).lemmatize(TEXTS) == WANTED
    assert "damaged cache entry is removed" in caplog.text
    assert computed() == [4] * 2


def newer_version(folder):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"version": "0.0.1"}))


def test_another_pipeline_is_another_key(pipeline, store, computed):
    Lemmatizer(str(pipeline), store).lemmatize(TEXTS)
    make_pipeline(pipeline, lemmas=LEMMAS | {"none": "no"})
    changed = [*WANTED[:-1], "no"]
    assert Lemmatizer(str(pipeline), store).lemmatize(TEXTS) == changed
    newer_version(pipeline)
    assert Lemmatizer(str(pipeline), store).lemmatize(TEXTS) == changed
    assert computed() == [4] * 3
    pipeline.rename(pipeline.parent / "elsewhere")
    assert Lemmatizer(str(pipeline.parent / "elsewhere"), store).lemmatize(TEXTS) == changed
    assert computed() == [4] * 3


def test_what_is_refused_is_not_kept(tmp_path, store):
    folder = make_pipeline(tmp_path / "en")
    for _ in range(2):
        with pytest.raises(UserError, match=r"suite\.lemmatizer: .* gives no lemmas"):
            Lemmatizer(str(folder), store).lemmatize(TEXTS)
    assert not list((tmp_path / "cache").glob("lemmas-*"))
