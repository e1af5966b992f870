"""Locks between processes, held on a file and released with the process that holds them."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_POLL_S = 0.02


class Locked(Exception):
    """Another process holds the lock."""


@contextmanager
def exclusive(path: Path, wait: bool = True) -> Iterator[None]:
    """Holds the lock file ``path`` within the block; the file stays behind.

    Raises:
        Locked: another process holds the lock, and ``wait`` is false.
        OSError: the file cannot be opened, or its file system has no locks.
    """
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
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
