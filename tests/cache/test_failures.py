"""A folder that takes nothing, a full disk: one warning, and nothing is left or lost."""

import errno
import fcntl
import resource
from pathlib import Path

import numpy as np
import pytest

from filling import (
    ABOUT,
    ARRAYS,
    KIND,
    fill,
    holds,
    is_stored,
    key_of,
    name_of,
    names_in,
    store_in,
)  # fmt: skip
from mtl_sharing.cache.store import ArrayStore, Entry

BIG = {"numbers": np.arange(500_000, dtype=np.int32)}


def check_left_alone(store, caplog):
    """Nothing can be stored, and one warning says so however often it is tried."""
    for text in ("one", "two"):
        assert fill(store, text).arrays is ARRAYS
        assert not is_stored(store, text)
        with store.exclusive(KIND, key_of(text)) as entry:
            assert entry is None
            assert store.write(KIND, key_of(text), 9, lambda folder: ABOUT, True) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "going on without the cache" in caplog.text


@pytest.mark.parametrize("inside", ["", "deeper/still"])
def test_a_file_where_the_folder_should_be(tmp_path, inside, caplog):
    (tmp_path / "file").write_text("mine")
    check_left_alone(ArrayStore(tmp_path / "file" / inside, 10**6), caplog)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("folder", ["/dev/null/cache", "/proc/cache", "/" + "x" * 5000])
def test_a_folder_that_cannot_be(folder, caplog):
    check_left_alone(ArrayStore(Path(folder), 10**6), caplog)


def test_a_folder_that_can_only_be_read_is_read(tmp_path, monkeypatch, caplog):
    fill(store_in(tmp_path), "before")

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    monkeypatch.setattr("os.utime", refuse)
    store = store_in(tmp_path)
    check_left_alone(store, caplog)
    assert holds(store.open(KIND, key_of("before")))
    with store.exclusive(KIND, key_of("before")) as entry:
        assert holds(entry)
    assert len(caplog.records) == 1


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("what", ["numpy.save", "pathlib.Path.write_text", "pathlib.Path.rename"])
def test_a_disk_that_is_full_at_any_moment(tmp_path, monkeypatch, caplog, what):
    store = store_in(tmp_path)
    before = fill(store, "before")
    with monkeypatch.context() as patch:
        patch.setattr(what, full)
        check_left_alone(store, caplog)
    assert "No space left on device" in caplog.text
    assert names_in(tmp_path) == {name_of("before")}
    assert holds(before) and holds(store.open(KIND, key_of("before")))
    assert holds(fill(store_in(tmp_path), "one"))


@pytest.fixture
def small_files():
    """A limit on the size of files, at which the system itself refuses to write on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_write_that_the_system_refuses(tmp_path, caplog):
    store = store_in(tmp_path, 10**8)
    assert fill(store, "one", BIG).arrays is BIG
    assert names_in(tmp_path) == set()
    assert len(caplog.records) == 1


def test_an_error_of_long_work_itself_leaves_nothing(tmp_path):
    store = store_in(tmp_path)

    def fail(folder):
        np.save(folder / "numbers.npy", ARRAYS["tokens"])
        raise KeyError

    with pytest.raises(KeyError), store.exclusive(KIND, key_of("one")):
        store.write(KIND, key_of("one"), 1000, fail, True)
    assert names_in(tmp_path) == set()
    assert holds(fill(store, "one"))


@pytest.fixture
def no_locks(monkeypatch):
    """A file system without locks."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_each_makes_its_own_and_the_first_stays(tmp_path, caplog):
    stores, key = (store_in(tmp_path), store_in(tmp_path)), key_of("one")
    with stores[0].exclusive(KIND, key), stores[1].exclusive(KIND, key):
        assert holds(stores[1].fetch(KIND, key, lambda: Entry(ARRAYS, ABOUT)))
        inode = (tmp_path / "store" / name_of("one")).stat().st_ino
        other = stores[0].write(KIND, key, 1000, lambda folder: {"texts": 0}, True)
        assert holds(other)
    assert (tmp_path / "store" / name_of("one")).stat().st_ino == inode
    assert not any(name.startswith(".work") for name in names_in(tmp_path))
    assert not caplog.records


def test_an_entry_that_cannot_be_read_is_not_there(tmp_path, monkeypatch, caplog):
    store = store_in(tmp_path)
    fill(store, "one")

    def fails(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("numpy.memmap", fails)
        for _ in range(2):
            assert fill(store, "one").arrays is ARRAYS
    assert len(caplog.records) == 1
    assert "Input/output error" in caplog.text
    assert holds(store_in(tmp_path).open(KIND, key_of("one")))
