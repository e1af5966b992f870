"""Entries come out of the store as they were put in, and damaged ones never do."""

import json
import os
import shutil
from zlib import crc32

import numpy as np
import pytest

from filling import ABOUT, ARRAYS, KIND, fill, holds, is_stored, key_of, name_of, names_in, store_in
from mtl_sharing.cache.store import Damaged, Entry, read_entry

TEXT = "an entry"
KEY = key_of(TEXT)


@pytest.fixture
def store(tmp_path):
    """A store with one entry."""
    store = store_in(tmp_path)
    fill(store, TEXT)
    return store


@pytest.fixture
def folder(tmp_path, store):
    """The folder of that entry."""
    return tmp_path / "store" / name_of(TEXT)


def test_what_is_stored_is_opened_again_and_not_computed(store, tmp_path):
    assert holds(store.open(KIND, KEY))
    assert holds(store_in(tmp_path).open(KIND, KEY))
    assert holds(store.fetch(KIND, KEY, lambda: pytest.fail("computed again")))
    assert not is_stored(store, "another")
    assert store.open("others", KEY) is None


def test_an_entry_is_its_arrays_and_its_record(folder, tmp_path):
    assert {path.name for path in folder.iterdir()} == {
        "entry.json", *(f"{name}.npy" for name in ARRAYS)
    }  # fmt: skip
    assert names_in(tmp_path) == {folder.name}
    record = json.loads((folder / "entry.json").read_text())
    assert record["about"] == ABOUT
    assert record["arrays"]["tokens"]["shape"] == [7, 11]
    assert record["bytes"] == sum(path.stat().st_size for path in folder.glob("*.npy"))
    for name, array in ARRAYS.items():
        assert np.array_equal(np.load(folder / f"{name}.npy", allow_pickle=False), array)


def test_arrays_are_mapped_and_cannot_be_written(store):
    for array in store.open(KIND, KEY).arrays.values():
        assert type(array) is np.ndarray
        assert isinstance(array.base, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1


def test_arrays_that_are_not_contiguous_are_stored_as_they_look(tmp_path):
    arrays = {"turned": np.arange(15).reshape(3, 5).T, "thinned": np.arange(20)[::3]}
    assert holds(fill(store_in(tmp_path), TEXT, arrays), arrays)


def test_no_python_object_is_stored(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle=False"):
        fill(store_in(tmp_path), TEXT, {"objects": np.array([{}])})
    assert names_in(tmp_path) == set()


def spoil(path, place=-1):
    """Changes one byte; the second time changes it back."""
    with path.open("r+b") as file:
        file.seek(place, os.SEEK_END if place < 0 else os.SEEK_SET)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def other_record(**changes):
    def write(folder):
        path = folder / "entry.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return write


def other_form(folder):
    """An array of another form but the same size."""
    np.save(folder / "tokens.npy", ARRAYS["tokens"].T.copy())


def resize(path, by):
    """Cuts the end of a file off, or adds to it."""
    os.truncate(path, path.stat().st_size + by)


def as_pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "a truncated array": lambda at: resize(at / "tokens.npy", -4),
    "an array that is too long": lambda at: resize(at / "tokens.npy", 4),
    "an array far too long": lambda at: resize(at / "tokens.npy", 50_000),
    "an empty array file": lambda at: (at / "tokens.npy").write_bytes(b""),
    "an array of another form": other_form,
    "a changed byte": lambda at: spoil(at / "tokens.npy"),
    "two arrays of one size in all": lambda at: (
        resize(at / "tokens.npy", -4),
        resize(at / "types.npy", 4),
    ),
    "a missing array": lambda at: (at / "types.npy").unlink(),
    "a folder for an array": lambda at: ((at / "types.npy").unlink(), (at / "types.npy").mkdir()),
    "a missing record": lambda at: (at / "entry.json").unlink(),
    "an empty record": lambda at: (at / "entry.json").write_text(""),
    "a record that is no JSON": lambda at: (at / "entry.json").write_text("{"),
    "a record that is no object": lambda at: (at / "entry.json").write_text("[1]"),
    "a record that is no text": lambda at: (at / "entry.json").write_bytes(b"\xff\xfe"),
    "a pipe for an array": lambda at: as_pipe(at / "types.npy"),
    "a pipe for a record": lambda at: as_pipe(at / "entry.json"),
    "a link to a record": lambda at: (
        (at / "entry.json").rename(at / "other"),
        (at / "entry.json").symlink_to("other"),
    ),
    "deep JSON": lambda at: (at / "entry.json").write_text("[" * 10**5),
    "another schema": other_record(schema=2),
    "another word about it": other_record(about={"texts": 8}),
    "other arrays": other_record(arrays={}),
    "no sum": other_record(crc32=None),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_removed_with_one_warning(store, folder, damage, tmp_path, caplog):
    damage(folder)
    assert store.open(KIND, KEY) is None
    assert len(caplog.records) == 1
    assert str(folder) in caplog.text
    assert store.open(KIND, KEY) is None
    assert len(caplog.records) == 1
    assert names_in(tmp_path) == set()
    assert holds(fill(store, TEXT))


def test_an_entry_under_another_key_is_damaged(store, folder, caplog):
    shutil.copytree(folder, folder.with_name(name_of("another")))
    assert not is_stored(store, "another")
    assert "not what was written" in caplog.text
    assert holds(store.open(KIND, KEY))


def test_what_a_reader_found_damaged_is_removed(store, tmp_path, caplog):
    entry = store.open(KIND, KEY)
    store.discard(KIND, KEY, "a sum of the reader's own")
    assert "a sum of the reader's own" in caplog.text
    assert names_in(tmp_path) == set()
    assert holds(entry)
    store.discard(KIND, KEY, "again")
    assert holds(fill(store, TEXT))


def test_a_foreign_file_in_an_entry_does_no_harm(store, folder, caplog):
    (folder / "notes.txt").write_text("mine")
    assert holds(store.open(KIND, KEY))
    assert not caplog.records


@pytest.mark.parametrize("name", ["entry.json", "tokens.npy", "nothing.npy"])
def test_no_changed_byte_changes_what_is_read(folder, name):
    """Every byte of a file in turn: the entry is as it was, or it is damaged."""
    path = folder / name
    content, damaged = ARRAYS.get(path.stem, np.zeros(0)).nbytes, 0
    size = path.stat().st_size
    for place in range(size):
        spoil(path, place)
        try:
            assert holds(read_entry(folder))
        except Damaged:
            damaged += 1
        spoil(path, place)
    # The form of an array stands in the record, where white space may change.
    assert damaged == content if name.endswith(".npy") else damaged > size / 2


def without_checksum(store, text=TEXT):
    """An entry of long work, which has no checksums."""

    def write(folder):
        for name, array in ARRAYS.items():
            np.save(folder / f"{name}.npy", array)
        return ABOUT

    with store.exclusive(KIND, key_of(text)) as entry:
        assert entry is None
        return store.write(KIND, key_of(text), 10_000, write, False)


def test_an_entry_without_checksums_is_opened_without(tmp_path):
    store = store_in(tmp_path)
    assert holds(without_checksum(store))
    spoil(tmp_path / "store" / name_of(TEXT) / "tokens.npy")
    assert is_stored(store, TEXT)
    resize(tmp_path / "store" / name_of(TEXT) / "tokens.npy", -64)
    assert not is_stored(store, TEXT)


def test_an_entry_of_an_earlier_version_is_read(store, folder):
    """It has a checksum of each header too."""
    record = json.loads((folder / "entry.json").read_text())
    del record["crc32"]
    for form in record["arrays"].values():
        form["header_crc32"] = 17
    record["crc32"] = crc32(json.dumps(record, sort_keys=True).encode())
    (folder / "entry.json").write_text(json.dumps(record, indent=2) + "\n")
    assert holds(store.open(KIND, KEY))


def test_an_error_of_the_computation_leaves_nothing(tmp_path):
    def compute() -> Entry:
        raise OSError("a missing pipeline")

    store = store_in(tmp_path)
    with pytest.raises(OSError, match="a missing pipeline"):
        store.fetch(KIND, KEY, compute)
    assert names_in(tmp_path) == set()
    assert holds(fill(store, TEXT))
