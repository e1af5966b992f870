"""The lock of a run's folder: one process at a time works in it, and through no link."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mtl_sharing.errors import FolderInUse, UserError
from mtl_sharing.run_folder.layout import ENTRIES, LOCK
from mtl_sharing.utils import locks
from mtl_sharing.utils.files import check_regular

log = logging.getLogger(__name__)


@dataclass
class HeldFolder:
    """A folder that this process holds.

    Attributes:
        manifest_is_settled: whether its manifest was compared with the disk, as after a kill.
    """

    device: int
    inode: int
    manifest_is_settled: bool = False


_held: dict[Path, HeldFolder] = {}


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Locks a run's folder within the block; the lock also ends with the process.

    A file system without locks causes a warning instead.

    Raises:
        FolderInUse: another process works in the folder.
        UserError: as for :func:`check_plain_folder`.
    """
    check_plain_folder(folder)
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.exclusive(folder / LOCK, wait=False))
        except locks.Locked:
            allowed = "a folder that no running process works in"
            raise FolderInUse("resume", f"{folder}, which is in use", allowed) from None
        except OSError:
            log.warning("this file system has no locks: let no second process work in %s", folder)
        status = folder.stat()
        _held[folder] = HeldFolder(status.st_dev, status.st_ino)
        stack.callback(_held.pop, folder)
        yield


def held(folder: Path) -> HeldFolder | None:
    """The folder as this process holds it; None where it does not."""
    return _held.get(folder)


def check_in_place(folder: Path) -> None:
    """Raises UserError if a folder that this process holds is gone, or is another one now."""
    began = _held.get(folder)
    if began is None:
        return
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) == (began.device, began.inode):
            return
        found = "another folder than the run began in"
    except FileNotFoundError:
        found = "nothing: it was removed or moved"
    raise UserError(str(folder), found, "the run's folder, left in its place while the run works")


def is_held(folder: Path) -> bool:
    """Whether a process works in the folder; also true if the lock cannot be checked."""
    return locks.is_held(folder / LOCK)


def check_plain_folder(folder: Path) -> None:
    """Checks that a run's or sweep's folder, which may be a link, has its files as real ones.

    Raises:
        UserError: naming a link, pipe, socket or device among them or below, through which writing
            would reach elsewhere, or wait for ever.
    """
    for entry in map(folder.joinpath, ENTRIES):
        _check_plain(entry)
        for parent, folders, files in os.walk(entry):
            for name in (*folders, *files):
                _check_plain(Path(parent, name))


def _check_plain(path: Path) -> None:
    # A temporary file may have its final name now.
    with suppress(FileNotFoundError, NotADirectoryError):
        if path.is_symlink() or not path.is_dir():
            check_regular(path)
