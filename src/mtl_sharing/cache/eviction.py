"""The store's folder: how full it may be, what goes first, and when it is left alone."""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mtl_sharing.cache.entry import RECORD, is_entry
from mtl_sharing.cache.folders import GONE, remove_folder, remove_if_idle

log = logging.getLogger(__name__)

WORKING = ".work-"
# Unfinished work is kept so long for the next try; where the file system has no locks, it is
# also how long a process may pause and still find its folder.
_DAY_S = 86_400


@dataclass
class CacheDirectory:
    """Where entries and unfinished work lie.

    Attributes:
        path: made when first needed; names that are not the store's are left alone.
        max_bytes: most that the store's own may take.
        writable: until something could not be written.
    """

    path: Path
    max_bytes: int
    writable: bool = True
    _told_of_room: bool = False
    _told_of_failure: bool = False

    def disable(self, error: OSError) -> None:
        """Takes nothing more, and says so once."""
        self.writable = False
        if not self._told_of_failure:
            self._told_of_failure = True
            log.warning("going on without the cache in %s: %s", self.path, error.strerror or error)

    def evict_for(self, size: int, own: Path) -> bool:
        """Whether ``size`` bytes fit, after removing what was used longest ago.

        Args:
            size: bytes of the working folder ``own`` when it is done.

        Raises:
            OSError: the folder cannot be read.
        """
        total = size
        if size <= self.max_bytes:
            items = sorted(_items(self.path, own), key=lambda item: item.used)
            total += sum(item.bytes for item in items)
            for item in items:
                if item.remove(needed=total > self.max_bytes):
                    total -= item.bytes
        if total > self.max_bytes and not self._told_of_room:
            self._told_of_room = True
            words = f"{size / 1e6:.1f} MB in {self.path}, which may hold {self.max_bytes / 1e9:g}"
            log.warning("not cached, for want of room: %s GB (cache.max_gb)", words)
        return total <= self.max_bytes


@dataclass(frozen=True)
class _Item:
    """An entry, or unfinished work."""

    path: Path
    bytes: int
    used: float  # seconds since 1970

    def remove(self, needed: bool) -> bool:
        """Removes it if nobody works in it and its room is needed or its time is over."""
        if self.path.name.startswith(WORKING):
            old = time.time() - self.used > _DAY_S
            return (old or needed) and remove_if_idle(self.path, old)
        if not needed:
            return False
        # A process that has mapped the entry goes on: its pages last as long as the mapping.
        with suppress(OSError):
            remove_folder(self.path)
        return not self.path.exists()


def _items(folder: Path, own: Path) -> Iterator[_Item]:
    """What could be removed; clears away what was being removed when a process was killed."""
    for path in folder.iterdir():
        if path.name.startswith(GONE):
            shutil.rmtree(path, ignore_errors=True)
        elif path != own and (path.name.startswith(WORKING) or is_entry(path.name)):
            with suppress(OSError):  # removed meanwhile by another process
                yield _item(path)


def _item(path: Path) -> _Item:
    # What a training leaves has folders of its own.
    stats = {str(file.relative_to(path)): file.stat() for file in path.rglob("*")}
    size = sum(stat.st_size for stat in stats.values())
    if is_entry(path.name) and RECORD in stats:
        return _Item(path, size, stats[RECORD].st_mtime)
    times = [path.stat().st_mtime, *(stat.st_mtime for stat in stats.values())]
    return _Item(path, size, max(times))


def folder_bytes(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(file.stat().st_size for file in os.scandir(folder))
