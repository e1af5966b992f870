"""Atomic replacement of files, and reading of JSON."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from mtl_sharing.errors import UserError, first_line

_KINDS: dict[type, str] = {
    dict: "an object", bytes: "bytes", str: "a text", int: "a number", float: "a number",
    bool: "a boolean", type(None): "null",
}  # fmt: skip


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Replaces ``path`` atomically with what ``write`` puts into a temporary file beside it.

    After a full disk or a kill ``path`` holds the old content or the new, never a part. Raises
    OSError if the file could not be written.
    """
    with replacing(path) as temporary:
        try:
            write(temporary)
        # torch and safetensors report a failed write with errors of their own.
        except (RuntimeError, SafetensorError) as error:
            message = f"a failed write ({first_line(error)})"
            raise OSError(errno.EIO, message, str(path)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary file beside ``path`` that replaces it at the end of the block.

    A block that raises leaves ``path`` as it was, and no temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        # safetensors makes files that only their owner can read.
        temporary.chmod(mode)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Replaces a text file atomically."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def replace_json(path: Path, value: dict[str, Any]) -> None:
    """Replaces a JSON file atomically; raises ValueError for NaN, which JSON does not have."""
    replace_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_object(path: Path) -> dict[str, Any]:
    """Reads the object in a JSON file.

    Raises:
        UserError: the file is damaged or holds another kind of value.
        OSError: the file cannot be read.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(str(path), f"a damaged file ({error})", "a JSON object") from None
    if not isinstance(record, dict):
        raise UserError(str(path), f"JSON that is {kind_of(record)}", "a JSON object")
    return record


def kind_of(value: object) -> str:
    """The kind of a value of JSON or of a table, for a message: ``a list``, ``an object``."""
    name = type(value).__name__
    return _KINDS.get(type(value), f"{'an' if name[0] in 'aeiou' else 'a'} {name}")


def expand_user(where: str, path: str | Path) -> Path:
    """The path with ``~`` expanded; raises UserError naming ``where`` for an unknown user's."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        allowed = "the home of a user that exists, or ./~NAME for a folder of this name"
        raise UserError(where, path, allowed) from None


def short_path(path: Path) -> Path:
    """The path relative to the working directory if it lies below, else as it is."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
