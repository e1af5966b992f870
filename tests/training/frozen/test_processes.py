"""States that are wanted twice at once, and fills that are interrupted."""

import hashlib
import resource
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from frozen_texts import bytes_of, cache_in, fill_elsewhere, rows_of
from mtl_sharing.training import frozen_layers as frozen

COUNT = 331
BLOCKS = 6


@pytest.fixture
def computed(monkeypatch):
    """A list that grows by the numbers of the texts of each block that is computed."""
    seen, pack = [], frozen.pack

    def watched(parts, numbers):
        seen.append(numbers.tolist())
        return pack(parts, numbers)

    monkeypatch.setattr(frozen, "pack", watched)
    return seen


def digest(states) -> str:
    return hashlib.sha256(bytes_of(states)).hexdigest()


@pytest.fixture
def expected(tmp_path, computed):
    """A digest of the states in an undisturbed cache."""
    states = cache_in(tmp_path / "expected").states(rows_of(COUNT), "all", lambda _: None)
    assert len(computed) == BLOCKS
    # Short texts first, by their lengths alone.
    order = np.argsort(rows_of(COUNT).lengths, kind="stable")
    assert np.concatenate(computed).tolist() == order.tolist()
    computed.clear()
    return digest(states)


def names_in(folder):
    return [path.name[:7] for path in folder.iterdir()]


def test_of_two_that_want_the_same_states_one_computes_them(tmp_path, computed, expected):
    begun = Event()

    def fill(advance):
        return digest(cache_in(tmp_path / "cache").states(rows_of(COUNT), "all", advance))

    def advance(texts):
        begun.set()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(fill, advance)
        assert begun.wait(60)
        second = threads.submit(fill, lambda _: pytest.fail("computed again"))
        assert first.result() == second.result() == expected
    assert len(computed) == BLOCKS
    assert names_in(tmp_path / "cache") == ["states-"]


@pytest.mark.slow
def test_another_process_has_the_same_states(tmp_path, computed, expected):
    process = fill_elsewhere(tmp_path / "cache", COUNT)
    assert process.stdout.readline() == "block\n"
    cache, computes = cache_in(tmp_path / "cache"), lambda _: pytest.fail("computed again")
    assert digest(cache.states(rows_of(COUNT), "all", computes)) == expected
    *blocks, other = process.stdout.read().split()
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert len(blocks) == BLOCKS - 1 and other == expected


def test_a_fill_that_was_interrupted_leaves_nothing_and_starts_anew(tmp_path, computed, expected):
    def stop(texts):
        if len(computed) == 3:
            raise KeyboardInterrupt

    cache, advanced = cache_in(tmp_path / "cache"), []
    with pytest.raises(KeyboardInterrupt):
        cache.states(rows_of(COUNT), "all", stop)
    assert names_in(tmp_path / "cache") == []
    computed.clear()
    assert digest(cache.states(rows_of(COUNT), "all", advanced.append)) == expected
    assert len(computed) == len(advanced) == BLOCKS
    assert sum(advanced) == COUNT


def test_a_disk_that_fills_up_meanwhile_costs_a_warning(tmp_path, caplog):
    """The system refuses to write on at a size within the states."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        cache = cache_in(tmp_path / "cache")
        assert cache.states(rows_of(COUNT), "all", lambda _: None) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caplog.text.count("going on without the cache") == 1
    assert names_in(tmp_path / "cache") == []


def test_a_cache_without_them_computes_nothing_for_who_only_asks(tmp_path, computed):
    cache = cache_in(tmp_path)
    assert cache.states(rows_of(17), "all", None) is None
    assert not computed
    assert not list(tmp_path.iterdir())
