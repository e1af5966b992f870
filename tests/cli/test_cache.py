"""A run with a cache is the run without it, bit for bit, whatever has become of the cache."""

import csv
import os
from pathlib import Path

import pytest

from mtl_sharing.cache.settings import CacheConfig, cache_folder
from support import QUICK

FROM_CACHE = "lists of texts from the cache"


@pytest.fixture
def train(mtl_train, tmp_path):
    """A quick run with a cache in ``tmp_path``; what it printed and what it found."""

    def call(*words):
        done = mtl_train(
            *QUICK, f"cache.folder={tmp_path / 'cache'}", "encoder.dropout=0.1", *words
        )
        assert done.code == 0, done.err
        return done.out + done.err, found_in(done.folder)

    return call


def found_in(run: Path):
    """What a run has found, without times."""
    with (run / "metrics.csv").open() as file:
        rows = [{k: v for k, v in row.items() if k != "train_s"} for row in csv.DictReader(file)]
    return (run / "model.safetensors").read_bytes(), rows


def entries(tmp_path):
    return sorted((tmp_path / "cache").glob("tokens-*"))


@pytest.mark.parametrize("pairing", [pytest.param("joined", marks=pytest.mark.slow), "separate"])
def test_a_run_is_the_same_with_and_without(train, tmp_path, pairing):
    words = (f"pairing={pairing}",)
    _, without = train(*words, "cache.tokens=false")
    assert not (tmp_path / "cache").exists()
    said, cold = train(*words)
    assert FROM_CACHE not in said
    count = len(entries(tmp_path))
    assert count == 2 * (3 if pairing == "joined" else 5)
    said, warm = train(*words)
    assert f"tokens of {count} of {count} {FROM_CACHE}" in said
    assert cold == warm == without


def spoil(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.slow
def test_a_damaged_cache_changes_nothing(train, tmp_path):
    _, expected = train()
    folders = entries(tmp_path)
    for number, folder in enumerate(folders):
        name = ("tokens.npy", "token_types.npy", "offsets.npy", "entry.json")[number % 4]
        os.truncate(folder / name, 100) if number == 5 else spoil(folder / name)
    said, found = train()
    assert said.count("damaged cache entry is removed") == len(folders) == 10
    assert FROM_CACHE not in said
    assert found == expected
    said, found = train()
    assert "damaged" not in said
    assert FROM_CACHE in said
    assert found == expected


@pytest.mark.slow
def test_a_cache_that_takes_nothing_is_said_once(train, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    said, found = train()
    assert said.count("going on without the cache") == 1
    (tmp_path / "cache").unlink()
    said, without_room = train("cache.max_gb=1e-6")
    assert said.count("not cached, no room") == 1
    assert not any((tmp_path / "cache").iterdir())
    assert found == without_room == train("cache.tokens=false")[1]


def test_a_dry_run_touches_nothing(mtl_train, tmp_path):
    done = mtl_train("dry_run=true", f"cache.folder={tmp_path / 'cache'}")
    assert done.code == 0, done.err
    assert not (tmp_path / "cache").exists()


def test_the_users_own_cache_is_the_default(mtl_train, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "given"))
    assert mtl_train(*QUICK).code == 0
    assert list((tmp_path / "given" / "mtl-sharing").glob("tokens-*"))
    # A relative folder is ignored.
    monkeypatch.setenv("XDG_CACHE_HOME", "given-too")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder(CacheConfig()) == tmp_path / "home" / ".cache" / "mtl-sharing"
    assert cache_folder(CacheConfig("~/mine")) == tmp_path / "home" / "mine"
