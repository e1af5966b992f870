"""A folder that takes nothing, a full disk: one warning, and nothing is left or lost."""

import errno
import resource
from pathlib import Path

import numpy as np
import pytest

from filling import ABOUT, ARRAYS, KIND, fill, holds, key_of, names_in, store_in
from mtl_sharing.cache.store import ArrayStore

BIG = {"numbers": np.arange(500_000, dtype=np.int32)}


def check_left_alone(store, caplog):
    """Nothing can be filled, and one warning says so however often it is tried."""
    for text in ("one", "two"):
        with store.exclusive(KIND, key_of(text)) as place:
            assert place.entry is None
            assert place.publish(ABOUT, ARRAYS) is None
        assert place.array("more", np.int8, (3,)) is None
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
    with store.exclusive(KIND, key_of("before")) as place:
        assert holds(place.entry)
    assert len(caplog.records) == 1


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("what", ["numpy.save", "os.fsync", "pathlib.Path.write_text"])
def test_a_disk_that_is_full_at_any_moment(tmp_path, monkeypatch, caplog, what):
    store = store_in(tmp_path)
    before = fill(store, "before")
    with monkeypatch.context() as patch:
        patch.setattr(what, full)
        check_left_alone(store, caplog)
    assert "No space left on device" in caplog.text
    assert names_in(tmp_path) == {f"{KIND}-{key_of('before')}"}
    assert holds(before) and holds(store.open(KIND, key_of("before")))
    assert holds(fill(store_in(tmp_path), "one"))


def test_a_disk_that_is_full_before_long_work(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("os.posix_fallocate", full)
    store = store_in(tmp_path)
    with store.exclusive(KIND, key_of("one")) as place:
        assert place.array("states", np.int32, (1000,)) is None
        assert place.publish(ABOUT) is None
    assert names_in(tmp_path) == set()
    check_left_alone(store, caplog)


@pytest.fixture
def small_files():
    """A limit on the size of files, at which the system itself refuses to write on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("long", [True, False])
def test_a_write_that_the_system_refuses(tmp_path, caplog, long):
    store = store_in(tmp_path, 10**8)
    with store.exclusive(KIND, key_of("one")) as place:
        if long:
            assert place.array("numbers", np.int32, (500_000,)) is None
        assert place.publish(ABOUT, BIG) is None
    assert names_in(tmp_path) == set()
    assert len(caplog.records) == 1


def test_an_entry_that_cannot_be_read_is_not_there(tmp_path, monkeypatch, caplog):
    store = store_in(tmp_path)
    fill(store, "one")

    def fails(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("numpy.load", fails)
        assert fill(store, "one") is None
        assert fill(store, "one") is None
    assert len(caplog.records) == 1
    assert "Input/output error" in caplog.text
    assert holds(store_in(tmp_path).open(KIND, key_of("one")))
