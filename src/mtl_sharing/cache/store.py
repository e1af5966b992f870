"""A store of memory-mapped arrays on disk that many processes use at once.

An entry is made under a name of its own and renamed once it is whole, so that a reader finds all
of it or nothing. Entries are never changed. A fill that was killed starts anew.
"""

import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.cache.folders import make_room, making, remove_folder, work_path
from mtl_sharing.cache.settings import CacheConfig, cache_folder
from mtl_sharing.errors import UserError
from mtl_sharing.utils.files import check_regular, read_object

log = logging.getLogger(__name__)

RECORD = "entry.json"
_SCHEMA = 1
_RECORD_BYTES = 4096  # more than a record takes
Write = Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Entry:
    """Arrays of plain numbers, read-only where they are mapped from files.

    ``about`` holds what they were made from, and further values that JSON can hold.
    """

    arrays: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any]


class Damaged(Exception):
    """An entry differs from what was written; the message names the difference."""


def write_record(folder: Path, entry: str, about: Mapping[str, Any], checksum: bool) -> None:
    """Writes the record of the arrays in ``folder``, whose final name is ``entry``."""
    arrays, size = {}, 0
    for path in sorted(folder.glob("*.npy")):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        content = crc32(array) if checksum else None
        arrays[path.stem] = {"dtype": array.dtype.str, "shape": list(array.shape), "crc32": content}
        size += path.stat().st_size
    record = {
        "schema": _SCHEMA,
        "entry": entry,
        "about": dict(about),
        "arrays": arrays,
        "bytes": size,
    }
    text = json.dumps(record | {"crc32": _checksum(record)}, indent=2, allow_nan=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def _checksum(record: Mapping[str, Any]) -> int:
    return crc32(json.dumps(record, sort_keys=True).encode())


def read_entry(folder: Path) -> Entry:
    """The entry in ``folder``, its arrays mapped into memory.

    Raises:
        Damaged: the record or an array is missing, or is not what was written.
    """
    try:
        record = read_object(folder / RECORD)
        if record["schema"] != _SCHEMA:
            raise Damaged(f"schema {record['schema']}, expected {_SCHEMA}")
        if record.pop("crc32") != _checksum(record) or record["entry"] != folder.name:
            raise Damaged(f"{RECORD} is not what was written")
        paths = {name: folder / f"{name}.npy" for name in record["arrays"]}
        for path in paths.values():
            check_regular(path)
        if sum(path.stat().st_size for path in paths.values()) != record["bytes"]:
            raise Damaged("an array's file has another size")
        arrays = {name: _map(paths[name], form) for name, form in record["arrays"].items()}
        return Entry(arrays, record["about"])
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Damaged(f"no file {Path(error.filename).name}") from None
    # UserError: bad JSON, a link or a pipe. The others: a record of another form.
    except (UserError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from None


def _map(path: Path, form: Mapping[str, Any]) -> NDArray[Any]:
    dtype, shape = np.dtype(form["dtype"]), tuple(form["shape"])
    # The content ends the file. The record gives its form, so no damaged header is parsed.
    offset = path.stat().st_size - math.prod(shape) * dtype.itemsize
    # A plain array over the same pages: numpy's own class for mapped ones is slow to index.
    array: NDArray[Any] = np.asarray(np.memmap(path, dtype, "r", offset, shape))
    if form["crc32"] is not None and crc32(array.data) != form["crc32"]:
        raise Damaged(f"{path.name} has another content")
    return array


class ArrayStore:
    """Entries in one folder, each a folder ``<kind>-<key>``; the key digests all that decides it.

    A store that cannot be read or written fails no run: it logs one warning, and entries are
    computed without it.

    Args:
        folder: made when first needed; other content of it is left alone.
        max_bytes: most that all entries take; the least recently used are removed first.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._enabled, self._warned_of_room = True, False

    def open(self, kind: str, key: str) -> Entry | None:
        """The entry, its arrays mapped from disk; None where there is none.

        A damaged entry is removed with a warning and counts as none.
        """
        folder = self._folder / f"{kind}-{key}"
        if not os.path.isdir(folder):
            return None
        try:
            entry = read_entry(folder)
        except Damaged as error:
            if os.path.isdir(folder):  # else another process has removed it meanwhile
                self.discard(kind, key, str(error))
            return None
        except OSError as error:
            self._disable(error)
            return None
        with suppress(OSError):  # a folder without permission to write
            os.utime(folder / RECORD)
        return entry

    def discard(self, kind: str, key: str, reason: str) -> None:
        """Removes a damaged entry with a warning; arrays in use stay mapped."""
        folder = self._folder / f"{kind}-{key}"
        log.warning("a damaged cache entry is removed (%s): %s", reason, folder)
        try:
            remove_folder(folder)
        except OSError as error:
            self._disable(error)

    def fetch(self, kind: str, key: str, compute: Callable[[], Entry]) -> Entry:
        """The entry; where there is none it is computed, and stored if possible."""
        with self.exclusive(kind, key) as entry:
            if entry is None:
                entry = compute()
                size = sum(array.nbytes for array in entry.arrays.values()) + _RECORD_BYTES
                entry = self.write(kind, key, size, partial(_save, entry), True) or entry
        return entry

    @contextmanager
    def exclusive(self, kind: str, key: str) -> Iterator[Entry | None]:
        """Yields the entry, or None while no other process makes it; waits for one that does."""
        entry = self.open(kind, key)
        with ExitStack() as stack:
            if entry is None and self._enabled:
                # Without locks each process makes an entry of its own, and the first to finish
                # stays. A folder that takes no lock takes no entry either: `write` warns of it.
                with suppress(OSError, UserError):
                    stack.enter_context(making(self._folder / f"{kind}-{key}"))
                entry = self.open(kind, key)
            yield entry

    def write(self, kind: str, key: str, size: int, write: Write, checksum: bool) -> Entry | None:
        """Makes an entry within :meth:`exclusive`; None where it could not be stored.

        Args:
            size: bytes that it takes at most.
            write: saves its arrays as .npy files in a folder, and returns the entry's ``about``.
            checksum: whether ``open`` compares a checksum of each array.
        """
        if not self._enabled:
            return None
        final = self._folder / f"{kind}-{key}"
        work = work_path(final)
        try:
            if make_room(self._folder, size, self._max_bytes, RECORD):
                work.mkdir(parents=True)
                write_record(work, final.name, write(work), checksum)
                work.rename(final)
            elif not self._warned_of_room:
                self._warned_of_room = True
                room = f"{size / 1e6:.1f} MB in {self._folder}, which may hold"
                log.warning("not cached, no room: %s %g GB (cache.max_gb)",
                            room, self._max_bytes / 1e9)  # fmt: skip
        except OSError as error:
            if not os.path.isdir(final):  # else another process was first, without locks
                self._disable(error)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return self.open(kind, key)

    def _disable(self, error: OSError) -> None:
        if self._enabled:
            self._enabled = False
            what = self._folder, error.strerror or error
            log.warning("going on without the cache in %s: %s", *what)


def _save(entry: Entry, folder: Path) -> Mapping[str, Any]:
    for name, array in entry.arrays.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
    return entry.about


def make_store(config: CacheConfig) -> ArrayStore | None:
    """The store that the config names; None, with a warning, where the user has no home."""
    try:
        return ArrayStore(cache_folder(config), int(config.max_gb * 1e9))
    except RuntimeError as error:
        log.warning("going on without a cache: %s", error)
        return None
