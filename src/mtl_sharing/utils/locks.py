"""Locks between processes, held on a file or folder, released with the process that holds them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mtl_sharing.errors import UserError
from mtl_sharing.utils.files import check_regular, open_regular

_POLL_S = 0.02


class Locked(Exception):
    """Another process holds the lock."""


@contextmanager
def exclusive(path: Path, wait: bool = True) -> Iterator[None]:
    """Holds the lock file ``path`` within the block; the file stays behind.

    Raises:
        Locked: another process holds the lock, and ``wait`` is false.
        UserError: a link, a pipe or a folder has the file's name.
        OSError: the file cannot be opened, or its file system has no locks.
    """
    # Here, not above: --help needs no lock.
    from filelock import FileLock, Timeout

    with suppress(OSError):
        check_regular(path)
    lock = FileLock(path, timeout=-1 if wait else _POLL_S, poll_interval=_POLL_S)
    while True:
        try:
            lock.acquire()
            break
        except Timeout:
            # A look by is_held also refuses an exclusive lock, for microseconds. Only a holder
            # refuses a shared one as well.
            if is_held(path):
                raise Locked(str(path)) from None
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file; also true where that cannot be found out.

    Needs no permission to write. Concurrent calls do not disturb each other, nor a process that
    takes the lock meanwhile.
    """
    try:
        with open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except (OSError, UserError):
        return True
    return False


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Waits until no other process is in such a block for the folder; leaves no file behind.

    A file system without locks protects nothing.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
