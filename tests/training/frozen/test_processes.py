"""Processes that want the same states at once, and one that is killed while it computes them."""

import hashlib

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


def go(process):
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def end(process):
    """How many blocks a process went through, and its digest of the states."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    *blocks, digest = out.split()
    return len(blocks), digest


def test_two_processes_at_once_have_the_same_states(tmp_path, computed):
    processes = [fill_elsewhere(tmp_path / "cache", COUNT, 0.05) for _ in range(2)]
    for process in processes:
        go(process)
    ends = [end(process) for process in processes]
    # One computed all, and the other waited for it.
    assert sorted(blocks for blocks, _ in ends) == [0, BLOCKS]
    alone = bytes_of(cache_in(tmp_path / "other").states(rows_of(COUNT), "all", lambda _: None))
    assert len(computed) == BLOCKS
    assert {digest for _, digest in ends} == {hashlib.sha256(alone).hexdigest()}
    assert [path.name[:7] for path in (tmp_path / "cache").iterdir()] == ["states-"]


def test_what_a_killed_process_has_done_is_not_done_again(tmp_path, computed):
    process = fill_elsewhere(tmp_path / "cache", COUNT, 0.05)
    go(process)
    for _ in range(3):
        assert process.stdout.readline() == "block\n"
    process.kill()
    done = 3 + process.communicate()[0].count("block")
    assert done < BLOCKS
    rows, advanced = rows_of(COUNT), []
    states = cache_in(tmp_path / "cache").states(rows, "all", advanced.append)
    assert 1 <= len(computed) <= BLOCKS - done
    assert sum(advanced) == COUNT
    assert len(advanced) == BLOCKS
    found = bytes_of(states)
    computed.clear()
    assert found == bytes_of(cache_in(tmp_path / "other").states(rows, "all", lambda _: None))
    # Of short texts first, all by their lengths alone.
    assert np.concatenate(computed).tolist() == np.argsort(rows.lengths, kind="stable").tolist()


def test_a_block_that_was_half_written_is_done_again(tmp_path, computed):
    """A block counts once the sum of each of its texts is there."""
    rows = rows_of(COUNT)
    wanted = bytes_of(cache_in(tmp_path / "other").states(rows, "all", lambda _: None))
    computed.clear()
    done = []

    def stop(texts):
        done.append(texts)
        if len(done) == 3:
            raise KeyboardInterrupt

    cache = cache_in(tmp_path / "cache")
    with pytest.raises(KeyboardInterrupt):
        cache.states(rows, "all", stop)
    (work,) = (tmp_path / "cache").iterdir()
    sums = np.load(work / "sums.npy", mmap_mode="r+")
    sums[computed[1][5]] = 0
    half = computed[1]
    computed.clear()
    assert bytes_of(cache.states(rows, "all", lambda _: None)) == wanted
    assert computed[0] == half
    assert len(computed) == 1 + BLOCKS - 3


def test_a_cache_without_them_computes_nothing_for_who_only_asks(tmp_path, computed):
    cache = cache_in(tmp_path)
    assert cache.states(rows_of(17), "all", None) is None
    assert not computed
    assert not list(tmp_path.iterdir())
