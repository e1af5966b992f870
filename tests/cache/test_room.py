"""The store keeps within its bound: what was used longest ago goes first."""

import os
import time

import numpy as np
import pytest

from filling import ABOUT, KIND, fill, holds, is_stored, key_of, name_of, names_in, store_in

# Three entries of this fit, four do not: each also has a record and headers.
ARRAYS = {"numbers": np.arange(25_000, dtype=np.int32)}
BOUND = 350_000


@pytest.fixture
def store(tmp_path):
    """A full store: entries 0, 1 and 2, used in this order."""
    store = store_in(tmp_path, BOUND)
    for number in range(3):
        fill(store, number, ARRAYS)
        when = 1_000_000 + number
        os.utime(tmp_path / "store" / name_of(number) / "entry.json", (when, when))
    return store


def numbers_in(tmp_path):
    """Which entries are there."""
    return {number for number in range(9) if name_of(number) in names_in(tmp_path)}


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_what_was_used_longest_ago_goes_first(store, tmp_path):
    assert numbers_in(tmp_path) == {0, 1, 2}
    fill(store, 3, ARRAYS)
    assert numbers_in(tmp_path) == {1, 2, 3}


def test_opening_is_using(store, tmp_path):
    store.open(KIND, key_of(0))
    fill(store, 3, ARRAYS)
    assert numbers_in(tmp_path) == {0, 2, 3}


def test_no_more_goes_than_must(store, tmp_path):
    fill(store, 3, {"numbers": ARRAYS["numbers"][:9000]})
    assert numbers_in(tmp_path) == {0, 1, 2, 3}
    fill(store, 4, {"numbers": np.arange(45_000, dtype=np.int32)})
    assert numbers_in(tmp_path) == {2, 3, 4}
    assert size_of(tmp_path) <= BOUND


def test_the_bound_holds_however_much_is_stored(tmp_path):
    store, random = store_in(tmp_path, BOUND), np.random.default_rng(11)
    for number in range(40):
        count = int(random.integers(1, 80_000))
        arrays = {"numbers": np.full(count, number, np.int32)}
        assert holds(fill(store, number, arrays), arrays)
        assert size_of(tmp_path) <= BOUND


def test_an_entry_above_the_bound_is_not_stored(store, tmp_path, caplog):
    for number in (3, 4):
        fill(store, number, {"numbers": np.zeros(BOUND // 4, np.int32)})
    assert numbers_in(tmp_path) == {0, 1, 2} and len(names_in(tmp_path)) == 3
    assert len(caplog.records) == 1
    assert "cache.max_gb" in caplog.text
    fill(store, 5, ARRAYS)
    assert is_stored(store, 5)


def test_a_mapped_array_outlives_its_entry(store, tmp_path):
    mapped = store.open(KIND, key_of(1)).arrays["numbers"]
    for number in (4, 5, 6):
        fill(store, number, ARRAYS)
    assert numbers_in(tmp_path) == {4, 5, 6}
    assert np.array_equal(mapped, ARRAYS["numbers"])


def test_long_work_makes_its_room_before_it_begins(store, tmp_path):
    def write(folder):
        assert numbers_in(tmp_path) == {2}
        np.save(folder / "numbers.npy", np.zeros(50_000, np.int32))
        return ABOUT

    with store.exclusive(KIND, key_of(7)):
        assert store.write(KIND, key_of(7), 204_096, write, False) is not None
    assert size_of(tmp_path) <= BOUND


def test_long_work_above_the_bound_is_not_begun(store, tmp_path, caplog):
    with store.exclusive(KIND, key_of(7)):
        assert store.write(KIND, key_of(7), 4 * BOUND, pytest.fail, False) is None
    assert numbers_in(tmp_path) == {0, 1, 2} and len(names_in(tmp_path)) == 3
    assert len(caplog.records) == 1


def test_unfinished_work_has_its_room_while_it_is_done(store, tmp_path):
    """Its entry is larger than what else fits."""
    small = {"numbers": np.zeros(30_000, np.int32)}

    def write(folder):
        np.save(folder / "numbers.npy", np.zeros(60_000, np.int32))
        fill(other, 8, small)
        assert not is_stored(other, 8)
        return ABOUT

    other = store_in(tmp_path, BOUND)
    with store.exclusive(KIND, key_of(7)):
        assert store.write(KIND, key_of(7), 250_000, write, False) is not None
    assert numbers_in(tmp_path) == {7}
    fill(store, 8, small)
    assert numbers_in(tmp_path) == {8}


def age(folder):
    """Makes everything in a folder older than a day."""
    then = time.time() - 90_000
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (then, then))


@pytest.mark.parametrize("has_lock", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_what_a_kill_left_is_removed_and_unknown_work_after_a_day(
    store, tmp_path, monkeypatch, has_lock, old
):
    left = tmp_path / "store" / f".work-{name_of(7)}.0123"
    left.mkdir()
    (left / "numbers.npy").write_bytes(b"half")
    if old:
        age(left)
    if not has_lock:  # then no look tells whether a process works in the folder
        monkeypatch.setattr("mtl_sharing.cache.folders.is_held", lambda path: True)
    fill(store, 3, ARRAYS)
    assert left.exists() == (not has_lock and not old)


def test_what_is_not_the_stores_is_left_alone(store, tmp_path):
    foreign = [tmp_path / "store" / name for name in ("notes.txt", "numbers-x", ".git")]
    foreign[0].write_text("mine")
    for folder in foreign[1:]:
        folder.mkdir()
        (folder / "mine").write_bytes(bytes(BOUND))
    for number in (3, 4, 5):
        fill(store, number, ARRAYS)
    assert numbers_in(tmp_path) == {3, 4, 5}
    assert all(path.exists() for path in foreign)
