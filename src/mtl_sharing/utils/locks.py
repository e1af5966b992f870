"""Locks between processes, held on a file and released with the process that holds them."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

# A look by is_held lasts microseconds. A lock that does not wait still tries for this long, so
# that no look keeps a process from starting.
_GRACE_S = 1.0
_POLL_S = 0.02


class Locked(Exception):
    """Another process holds the lock."""


@contextmanager
def exclusive(path: Path, wait: bool = True) -> Iterator[None]:
    """Holds the lock file ``path`` within the block; it stays behind, since others may wait for it.

    Args:
        wait: wait for another holder; otherwise raise.

    Raises:
        Locked: another process holds it, and ``wait`` is false.
        OSError: the file cannot be opened, or its file system has no locks.
    """
    lock = FileLock(path, timeout=-1 if wait else _GRACE_S, poll_interval=_POLL_S)
    try:
        lock.acquire()
    except Timeout:
        raise Locked(str(path)) from None
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file; also true where nobody can tell.

    Needs no permission to write. Two looks at once do not disturb each other.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
