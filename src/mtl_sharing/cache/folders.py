"""Folders that one process makes and many use: locks, removal, and the bound on their size."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from mtl_sharing.utils.locks import Locked, exclusive, is_held

log = logging.getLogger(__name__)

_WORK = ".work-"
_DAY_S = 86_400


@contextmanager
def making(folder: Path, wait: bool = True) -> Iterator[None]:
    """Keeps other processes from making ``folder`` within the block; raises as ``exclusive``."""
    lock = _lock_of(folder)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(lock, wait=False))
        except Locked:
            if not wait:
                raise
            log.info("waiting for another process that makes %s", folder.name)
            stack.enter_context(exclusive(lock))
        try:
            yield
        finally:
            # While it is held: a process that waits for a removed file then takes a new one.
            with suppress(OSError):
                lock.unlink()


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".lock-{folder.name}")


def is_made(folder: Path) -> bool:
    """Whether a process is making ``folder``; also true where that cannot be found out."""
    return is_held(_lock_of(folder))


def work_path(folder: Path) -> Path:
    """A new name beside ``folder`` for an unfinished one, which no reader opens."""
    return folder.with_name(f"{_WORK}{folder.name}.{token_hex(8)}")


def remove_folder(folder: Path) -> None:
    """Removes the name of a folder at once, then its content; mapped files stay readable."""
    # A kill meanwhile leaves half a folder, which must not have the name of a whole one.
    unfinished = work_path(folder)
    with suppress(FileNotFoundError):
        folder.rename(unfinished)
        shutil.rmtree(unfinished, ignore_errors=True)


def make_room(parent: Path, size: int, max_bytes: int, record: str) -> bool:
    """Whether ``size`` bytes more fit in, after removing the least recently used folders.

    Args:
        max_bytes: most that the folders in ``parent`` take; other content does not count.
        record: the file that makes a folder count, modified when the folder was last used.
    """
    if size > max_bytes:
        return False
    for work in parent.glob(f"{_WORK}*"):
        final = parent / work.name.removeprefix(_WORK).rpartition(".")[0]
        # The age alone tells where the file system has no locks.
        if not is_made(final) or is_stale(work):
            shutil.rmtree(work, ignore_errors=True)  # left by a kill
    finished = [file.parent for file in sorted(parent.glob(f"[!.]*/{record}"), key=_modified)]
    sizes = {path: folder_bytes(path) for path in (*parent.glob(f"{_WORK}*"), *finished)}
    for folder in finished:
        if size + sum(sizes.values()) > max_bytes:
            with suppress(OSError):
                remove_folder(folder)
                del sizes[folder]
    return size + sum(sizes.values()) <= max_bytes


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):  # removed meanwhile by another process
            total += file.stat().st_size
    return total


def is_stale(folder: Path) -> bool:
    """Whether nothing in the folder has changed for a day."""
    changed = max(map(_modified, (folder, *folder.rglob("*"))))
    return time.time() - changed > _DAY_S


def _modified(path: Path) -> float:
    """Seconds since 1970; 0 for a path that is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
