"""A store of memory-mapped arrays on disk that many processes use at once.

An entry is made under a name of its own and renamed once it is whole, so that a reader finds all
of it or nothing. Entries are never changed. A fill that was killed starts anew.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mtl_sharing.cache.entry import RECORD, Damaged, Entry, read_entry, write_record
from mtl_sharing.cache.folders import make_room, making, remove_folder, work_path
from mtl_sharing.cache.settings import CacheConfig, cache_folder

log = logging.getLogger(__name__)

_RECORD_BYTES = 4096  # more than a record takes
Write = Callable[[Path], Mapping[str, Any]]


class ArrayStore:
    """Entries in one folder, each a folder ``<kind>-<key>``; the key is a digest of its content.

    A store that cannot be read or written fails no run: one warning tells, and entries are
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
                with suppress(OSError):
                    stack.enter_context(making(self._folder / f"{kind}-{key}"))
                entry = self.open(kind, key)
            yield entry

    def write(self, kind: str, key: str, size: int, write: Write, checksum: bool) -> Entry | None:
        """Makes an entry within :meth:`exclusive`; None where it could not be stored.

        Args:
            size: bytes that it takes at most.
            write: saves its arrays as .npy files in a folder, and returns the entry's ``about``.
            checksum: whether each array gets a checksum, which ``open`` compares.
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
                log.warning("not cached, for want of room: %s %g GB (cache.max_gb)",
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
