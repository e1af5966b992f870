"""An on-disk store of memory-mapped arrays, by content, that many processes use at once."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from mtl_sharing.cache.entry import RECORD, Damaged, Entry, entry_name, read_entry
from mtl_sharing.cache.eviction import WORKING, CacheDirectory
from mtl_sharing.cache.folders import remove_folder, working_folder
from mtl_sharing.cache.settings import CacheConfig, cache_folder
from mtl_sharing.cache.writer import EntryWriter

log = logging.getLogger(__name__)


class ArrayStore:
    """Entries in one folder, each a folder of its own, ``<kind>-<key>``.

    An entry appears whole or not at all, and is never changed. No method raises OSError: what
    cannot be read is not there, and a folder that takes no more is told of once and left alone.

    Args:
        folder: made when first needed.
        max_bytes: most that entries and unfinished work may take together; what was used longest
            ago goes first.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._space = CacheDirectory(folder, max_bytes)

    def open(self, kind: str, key: str, verify: bool = True) -> Entry | None:
        """The entry, its arrays mapped from disk; None where there is none.

        A damaged one is removed with a warning, and counts as none.

        Args:
            kind: a plain name.
            key: a hexadecimal digest of everything that decides the content.
            verify: whether to read each array whole and hold it against its sum.
        """
        folder = self._space.path / entry_name(kind, key)
        found = _identity(folder)
        if found is None:
            return None
        try:
            entry = read_entry(folder, verify)
        except Damaged as reason:
            # Else another process has removed it, and may have made it anew, since it was found.
            if _identity(folder) == found:
                self.discard(kind, key, str(reason))
            return None
        except OSError as error:
            self._space.disable(error)
            return None
        with suppress(OSError):  # a store that can only be read
            os.utime(folder / RECORD)
        return entry

    def discard(self, kind: str, key: str, reason: str) -> None:
        """Removes a damaged entry, with a warning that says in what; arrays in use stay mapped."""
        folder = self._space.path / entry_name(kind, key)
        log.warning("a damaged cache entry is removed (%s): %s", reason, folder)
        try:
            remove_folder(folder)
        except OSError as error:
            self._space.disable(error)

    @contextmanager
    def exclusive(
        self, kind: str, key: str, verify: bool = True, wait: bool = True
    ) -> Iterator[EntryWriter]:
        """The entry, or a folder in which this process alone may make it.

        Waits while another process makes the same entry, then has theirs; without ``wait`` there
        is neither entry nor folder then. Work that is left
        unpublished, by a kill or an error, is found as it was at the next try, unless its room
        was needed or a day has passed.
        """
        name = entry_name(kind, key)
        entry, folder = self.open(kind, key, verify), None
        with ExitStack() as stack:
            if entry is None and self._space.writable:
                path = self._space.path / f"{WORKING}{name}"
                try:
                    waiting = partial(_waiting, name) if wait else _leave
                    folder = stack.enter_context(working_folder(path, waiting))
                    # Another process may have made it in between.
                    entry = self.open(kind, key, verify)
                except _Held:
                    pass
                except OSError as error:
                    self._space.disable(error)
            place = EntryWriter(self._space, name, entry, folder, partial(self.open, kind, key))
            try:
                yield place
            finally:
                place.leave()


def _identity(folder: Path) -> tuple[int, int] | None:
    """Tells a folder from a later one of its name; None where it is not there, or out of reach."""
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_ctime_ns


def make_store(config: CacheConfig, below: str = "") -> ArrayStore | None:
    """The store that the config names; None, with a warning, where the user has no home.

    Args:
        below: a folder in it with a store of its own, under the same bound.
    """
    try:
        folder = cache_folder(config)
    except RuntimeError as error:
        log.warning("going on without a cache: %s", error)
        return None
    return ArrayStore(folder / below, int(config.max_gb * 1e9))


class _Held(Exception):
    """Another process makes the entry."""


def _leave() -> None:
    raise _Held


def _waiting(name: str) -> None:
    log.info("waiting for another process that fills the cache entry %s", name)
