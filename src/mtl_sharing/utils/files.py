"""Writing files so that a final name never holds half of one."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Has ``write`` fill a temporary file beside ``path``, then puts it in its place at once.

    Whatever happens in between (a full disk, a kill), ``path`` holds the old content or the new.

    Raises:
        OSError: the file could not be written; the temporary file is gone.
    """
    with replacing(path) as temporary:
        _write(write, temporary, path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` to fill within a block, at whose end it takes its place.

    A block that raises leaves ``path`` as it was, and no temporary file. Who may read the file is
    as for any new one, also where a library makes it for its owner alone, as safetensors does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _write(write: Callable[[Path], object], temporary: Path, path: Path) -> None:
    """Calls ``write``; libraries that report a failed write in their own way raise OSError too."""
    try:
        write(temporary)
    except (RuntimeError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise OSError(errno.EIO, f"a failed write ({reason})", str(path)) from error


def short_path(path: Path) -> Path:
    """As seen from here, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def replace_text(path: Path, text: str) -> None:
    """Replaces a text file at once."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def replace_json(path: Path, value: dict[str, Any]) -> None:
    """Replaces a JSON file at once. NaN is refused: it is no JSON."""
    replace_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
