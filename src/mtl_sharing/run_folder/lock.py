"""The lock of a run's folder: one process at a time works in it."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mtl_sharing.errors import FolderInUse
from mtl_sharing.run_folder.layout import LOCK
from mtl_sharing.utils import locks

log = logging.getLogger(__name__)


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Locks a run's folder within the block; the lock also ends with the process.

    A file system without locks causes a warning instead.

    Raises:
        FolderInUse: another process works in the folder.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.exclusive(folder / LOCK, wait=False))
        except locks.Locked:
            allowed = "a folder that no running process works in"
            raise FolderInUse("resume", f"{folder}, which is in use", allowed) from None
        except OSError:
            log.warning("this file system has no locks: let no second process work in %s", folder)
        yield


def is_held(folder: Path) -> bool:
    """Whether a process works in the folder; also true if the lock cannot be checked."""
    return locks.is_held(folder / LOCK)
