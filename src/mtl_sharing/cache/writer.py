"""Where one process makes an entry, and how the entry then appears at once."""

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mtl_sharing.cache.entry import Entry, array_path, write_record
from mtl_sharing.cache.eviction import WORKING, CacheDirectory, folder_bytes
from mtl_sharing.cache.folders import LOCK, remove_folder, sync

_RECORD_BYTES = 4096  # more than a record takes


class EntryWriter:
    """What ``ArrayStore.exclusive`` gives. No method raises OSError.

    Attributes:
        entry: where it is there already, so that nothing is left to do.
        folder: to work in, held by this process; None where the store takes nothing.
    """

    def __init__(
        self,
        space: CacheDirectory,
        name: str,
        entry: Entry | None,
        folder: Path | None,
        reopen: Callable[[bool], Entry | None],
    ) -> None:
        self.entry = entry
        self.folder = folder
        self._space, self._name, self._reopen = space, name, reopen
        self._names: set[str] = set()

    def array(self, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any] | None:
        """An array of the entry to be, mapped for writing: zeros, or as an earlier try left it.

        Its room on disk is reserved here: a disk that fills up later, while mapped memory is
        written, would kill the process. What an earlier try left is whole after a kill; after
        a crash of the machine it may have holes.

        Returns:
            None where there is no room, or no folder.
        """
        if self.folder is None:
            return None
        path = array_path(self.folder, name)
        try:
            array = _left(path, np.dtype(dtype), shape)
            if array is None:
                array = self._new(path, np.dtype(dtype), shape)
            if array is not None:
                _reserve(path)
        except OSError as error:
            self._fail(error)
            return None
        self._names.add(name)
        return array

    def _new(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
        assert self.folder is not None
        path.unlink(missing_ok=True)
        size = folder_bytes(self.folder) + int(np.prod(shape)) * dtype.itemsize
        if self._space.evict_for(size + _RECORD_BYTES, self.folder):
            return np.lib.format.open_memmap(path, "w+", dtype, shape)
        self._discard()
        return None

    def publish(
        self,
        about: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]] | None = None,
        checksum: bool = True,
    ) -> Entry | None:
        """Makes the entry of ``arrays`` and those that ``array`` gave, and opens it.

        Other files and folders in it are removed. Where another process was first, theirs stays.

        Args:
            about: what the arrays were made from, in words, and what else belongs to them; it
                becomes JSON.
            arrays: of plain numbers, by name.
            checksum: whether to sum the arrays' content, so that ``open`` can verify it.

        Returns:
            None where it could not be stored.
        """
        if self.folder is None:
            return None
        try:
            if not self._save(self.folder, {} if arrays is None else arrays):
                self._discard()
                return None
            write_record(self.folder, self._name, about, self._names, checksum)
            self._move(self.folder)
        except OSError as error:
            self._fail(error)
            return None
        return self._reopen(checksum)

    def _save(self, folder: Path, arrays: Mapping[str, NDArray[Any]]) -> bool:
        """Whether the arrays have room; they are then the folder's only files with its own."""
        kept = {LOCK, *(array_path(folder, name).name for name in self._names)}
        for file in folder.iterdir():
            if file.name not in kept:
                shutil.rmtree(file) if file.is_dir() else file.unlink()
        size = folder_bytes(folder) + sum(array.nbytes for array in arrays.values())
        if not self._space.evict_for(size + _RECORD_BYTES, folder):
            return False
        for name, array in arrays.items():
            np.save(array_path(folder, name), np.ascontiguousarray(array), allow_pickle=False)
            self._names.add(name)
        return True

    def _move(self, folder: Path) -> None:
        """Gives the folder its final name once all of it is on disk."""
        for file in folder.iterdir():
            sync(file)
        sync(folder)
        final = self._space.path / self._name
        try:
            folder.rename(final)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            self._discard()  # without locks, another process may have been first
            return
        self.folder = None
        (final / LOCK).unlink(missing_ok=True)
        sync(self._space.path)

    def leave(self) -> None:
        """Leaves the folder to the next try, unless none could use it."""
        if self.folder is None:
            return
        findable = self.folder.name == f"{WORKING}{self._name}"
        with suppress(OSError):
            empty = {file.name for file in self.folder.iterdir()} <= {LOCK}
            if empty or not findable or self.entry is not None:
                self._discard()

    def _fail(self, error: OSError) -> None:
        self._space.disable(error)
        self._discard()

    def _discard(self) -> None:
        """Removes the folder and what was made in it."""
        if self.folder is not None:
            with suppress(OSError):
                remove_folder(self.folder)
        self.folder = None


def _left(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The array that an earlier try has left, if it is one of this form."""
    try:
        array = np.load(path, mmap_mode="r+", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if (array.dtype, array.shape) == (dtype, shape) else None


def _reserve(path: Path) -> None:
    if not hasattr(os, "posix_fallocate"):  # a Mac
        return
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
