"""The files below a folder that anything opens within a block, found by inotify."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OPEN = 0x20
_EVENT = struct.Struct("iIII")


@contextmanager
def opened_in(folder: Path) -> Iterator[set[str]]:
    """Yields a set that holds at the end of the block what was opened, by any library.

    An audit hook sees what Python opens, and not what the libraries in C++ and Rust do.
    """
    library, names = ctypes.CDLL(None, use_errno=True), set[str]()
    descriptor = library.inotify_init1(os.O_NONBLOCK)
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    watched = {
        library.inotify_add_watch(descriptor, os.fsencode(path), _OPEN): path for path in folders
    }
    try:
        yield names
        for watch, name in _events(descriptor):
            path = watched[watch] / name
            if name and not (path.is_dir() or name.endswith(".tmp")):
                names.add(str(path.relative_to(folder)))
    finally:
        os.close(descriptor)


def _events(descriptor: int) -> Iterator[tuple[int, str]]:
    while True:
        try:
            content = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return
        while content:
            watch, _, _, length = _EVENT.unpack_from(content)
            yield watch, os.fsdecode(content[_EVENT.size :][:length].rstrip(b"\0"))
            content = content[_EVENT.size + length :]
