"""Folders that one process at a time works in, and how they come and go at once."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO

LOCK = ".lock"
GONE = ".gone-"


@contextmanager
def working_folder(folder: Path, waiting: Callable[[], None]) -> Iterator[Path]:
    """Holds ``folder`` for this process alone; made where it is not there, else as it was left.

    The lock ends with the process, however it ends. On a file system without locks the folder is
    one of this process's own, with a longer name.

    Args:
        waiting: called once where another process holds the folder, before waiting for it.

    Raises:
        OSError: the folder cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with suppress(FileExistsError):
            folder.mkdir()
        try:
            lock = (folder / LOCK).open("ab")
        except FileNotFoundError:
            continue  # moved away since the line above
        with lock:
            if not _lock(lock, waiting):
                folder = folder.with_name(f"{folder.name}-{os.getpid()}-{token_hex(4)}")
                folder.mkdir()
            elif not _lies_at(lock, folder / LOCK):
                continue  # moved away while waiting: what is locked is no longer this folder
            yield folder
            return


def _lock(file: IO[bytes], waiting: Callable[[], None]) -> bool:
    """Waits for the lock; False where the file system has none."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _lies_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def remove_folder(folder: Path) -> None:
    """Removes a folder that others may look for: first its name, at once, then its content.

    A process that has mapped its files keeps their pages: they last as long as a mapping does.

    Raises:
        OSError: it is there and cannot be moved.
    """
    gone = folder.with_name(f"{GONE}{token_hex(8)}")
    with suppress(FileNotFoundError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def sync(path: Path) -> None:
    """Has the disk take what was written to a file or folder."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def remove_if_idle(folder: Path, old: bool) -> bool:
    """Removes a working folder unless a process holds it; says whether it did.

    Args:
        old: remove it also where the file system cannot tell whether a process does.
    """
    try:
        with (folder / LOCK).open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                if not old:
                    return False
            # Another's new folder may lie there by now.
            if not _lies_at(lock, folder / LOCK):
                return False
            remove_folder(folder)
    except OSError:
        return False
    return True
