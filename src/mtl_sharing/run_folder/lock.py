"""The lock of a run's folder: one process at a time works there."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtl_sharing.errors import FolderInUse
from mtl_sharing.run_folder.layout import LOCK
from mtl_sharing.utils import locks

log = logging.getLogger(__name__)


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keeps a second process from going on with the same run within the block.

    The lock ends with the process, however it ends. On a file system without locks a warning
    stands in for it.

    Raises:
        FolderInUse: another process works in the folder.
    """
    lock = locks.exclusive(folder / LOCK, wait=False)
    try:
        lock.__enter__()
    except locks.Locked:
        allowed = "a folder that no running process works in"
        raise FolderInUse("resume", f"{folder}, which is in use", allowed) from None
    except OSError:
        log.warning("this file system has no locks: let no second process work in %s", folder)
        yield
        return
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def is_held(folder: Path) -> bool:
    """Whether a process works in the folder; also true where nobody can tell."""
    return locks.is_held(folder / LOCK)
