"""A new folder that appears whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from mtl_sharing.errors import UserError


def check_target(folder: Path) -> None:
    """Raises UserError where something lies already: nothing is overwritten."""
    allowed = "a new folder, or an empty one"
    if folder.is_dir():
        if any(folder.iterdir()):
            raise UserError("--out", f"{folder}, which is not empty", allowed)
    elif folder.exists() or folder.is_symlink():
        raise UserError("--out", f"{folder}, which is no folder", allowed)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` to write into, which takes its name at the end of the block.

    Raises:
        UserError: something lies there already.
        OSError: it cannot be written; nothing stays behind.
    """
    folder = folder.expanduser().absolute()
    check_target(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = folder.with_name(f".{folder.name}.{token_hex(4)}.tmp")
    work.mkdir()
    try:
        yield work
        check_target(folder)
        os.rename(work, folder)  # onto an empty folder, too
    finally:
        shutil.rmtree(work, ignore_errors=True)
