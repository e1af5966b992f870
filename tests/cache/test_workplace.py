"""Long work on one entry: its folder outlives a failure, and others wait for it or go on alone."""

import errno
import fcntl
import os
import time

import numpy as np
import pytest

from filling import ABOUT, ARRAYS, KIND, fill, holds, key_of, names_in, store_in

TEXT = "long work"
KEY = key_of(TEXT)
WORK = f".work-{KIND}-{KEY}"
ENTRY = f"{KIND}-{KEY}"


class Interrupted(Exception):
    """Stands for a failure of the work itself."""


def half_done(store):
    """Fills half of an array and fails."""
    with store.exclusive(KIND, KEY) as place:
        array = place.array("states", np.int16, (6, 5))
        assert not array.any()
        array[:3] = 7
        (place.folder / "progress").write_text("3")
        raise Interrupted


def begin(tmp_path):
    """Leaves work that was half done."""
    with pytest.raises(Interrupted):
        half_done(store_in(tmp_path))


def test_the_next_try_goes_on_where_the_last_one_failed(tmp_path):
    begin(tmp_path)
    assert names_in(tmp_path) == {WORK}
    store = store_in(tmp_path)
    assert store.open(KIND, KEY) is None
    with store.exclusive(KIND, KEY) as place:
        assert place.entry is None
        array = place.array("states", np.int16, (6, 5))
        assert array[:3].min() == 7 and not array[3:].any()
        assert (place.folder / "progress").read_text() == "3"
        array[3:] = 8
        entry = place.publish(ABOUT, {"types": ARRAYS["types"]})
    expected = {"states": np.repeat([[7], [8]], 3, axis=0) * np.ones((1, 5), int)}
    assert holds(entry, {"states": expected["states"].astype(np.int16), "types": ARRAYS["types"]})
    assert names_in(tmp_path) == {ENTRY}
    assert not (tmp_path / "store" / ENTRY / "progress").exists()


@pytest.mark.parametrize("form", [(np.int16, (5, 6)), (np.uint16, (6, 5))])
def test_an_array_of_another_form_is_made_anew(tmp_path, form):
    begin(tmp_path)
    with store_in(tmp_path).exclusive(KIND, KEY) as place:
        array = place.array("states", *form)
        assert not array.any() and array.shape == form[1]


@pytest.mark.parametrize("content", [b"", b"half a header", np.lib.format.MAGIC_PREFIX])
def test_a_file_that_is_no_array_is_made_anew(tmp_path, content):
    begin(tmp_path)
    (tmp_path / "store" / WORK / "states.npy").write_bytes(content)
    with store_in(tmp_path).exclusive(KIND, KEY) as place:
        assert not place.array("states", np.int16, (6, 5)).any()


def test_room_on_disk_is_taken_before_the_work(tmp_path):
    with store_in(tmp_path).exclusive(KIND, KEY) as place:
        place.array("states", np.uint8, (300_000,))
        stat = (place.folder / "states.npy").stat()
    assert stat.st_blocks * 512 >= 300_000


def test_nothing_is_left_of_work_that_made_nothing(tmp_path):
    store = store_in(tmp_path)
    with store.exclusive(KIND, KEY):
        pass
    with pytest.raises(Interrupted), store.exclusive(KIND, KEY):
        raise Interrupted
    assert names_in(tmp_path) == set()


def test_an_entry_that_is_there_is_given_at_once(tmp_path):
    store = store_in(tmp_path)
    fill(store, TEXT)
    with store.exclusive(KIND, KEY) as place:
        assert holds(place.entry)
        assert place.folder is None
        assert place.publish(ABOUT, {}) is None
    assert holds(store.open(KIND, KEY))


def test_two_keys_are_filled_side_by_side(tmp_path):
    store = store_in(tmp_path)
    with store.exclusive(KIND, KEY) as one, store.exclusive(KIND, key_of("two")) as two:
        assert holds(two.publish(ABOUT, ARRAYS))
        assert holds(one.publish(ABOUT, ARRAYS))


@pytest.fixture
def no_locks(monkeypatch):
    """A file system without locks."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_each_fills_its_own_and_the_first_stays(tmp_path):
    store, other = store_in(tmp_path), store_in(tmp_path)
    with store.exclusive(KIND, KEY) as one, other.exclusive(KIND, KEY) as two:
        assert one.folder != two.folder
        assert holds(two.publish(ABOUT, ARRAYS))
        inode = (tmp_path / "store" / ENTRY).stat().st_ino
        assert holds(one.publish(ABOUT, {"types": ARRAYS["types"]}))
    assert (tmp_path / "store" / ENTRY).stat().st_ino == inode
    assert {
        name for name in names_in(tmp_path) if os.listdir(tmp_path / "store" / name) != [".lock"]
    }
    assert holds(store.open(KIND, KEY))


def age(folder, seconds):
    """Makes everything in a folder older."""
    then = time.time() - seconds
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (then, then))


@pytest.mark.parametrize(("seconds", "left"), [(3600, {WORK}), (90_000, set())])
@pytest.mark.parametrize("locks", [True, False])
def test_work_is_given_up_after_a_day(tmp_path, request, seconds, left, locks):
    begin(tmp_path)
    age(tmp_path / "store" / WORK, seconds)
    if not locks:
        request.getfixturevalue("no_locks")
    fill(store_in(tmp_path), "another")
    assert names_in(tmp_path) & {WORK} == left


def test_old_work_that_goes_on_is_left_alone(tmp_path):
    store = store_in(tmp_path)
    with store.exclusive(KIND, KEY) as place:
        array = place.array("states", np.int16, (6, 5))
        array[:] = 3
        age(place.folder, 90_000)
        fill(store_in(tmp_path), "another")
        assert holds(place.publish(ABOUT), {"states": np.full((6, 5), 3, np.int16)})


def test_what_a_killed_removal_left_is_cleared_away(tmp_path):
    store = store_in(tmp_path)
    fill(store, TEXT)
    (tmp_path / "store" / ENTRY).rename(tmp_path / "store" / ".gone-0123")
    fill(store, "another")
    assert names_in(tmp_path) == {f"{KIND}-{key_of('another')}"}
