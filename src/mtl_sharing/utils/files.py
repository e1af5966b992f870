"""Atomic replacement of files, opening of files that others may have made, and JSON."""

import errno
import fcntl
import json
import math
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from secrets import token_hex
from typing import Any

from safetensors import SafetensorError

from mtl_sharing.errors import FULL, UserError, first_line

MAX_TEXT_BYTES = 64 << 20
"""More than any JSON, YAML or CSV file that a run writes into its folder."""
_REGULAR = "a regular file of the folder itself"
_ABANDONED_S, _PROBE_BYTES = 60.0, 1 << 16
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")
_KINDS: dict[type, str] = {
    dict: "an object", bytes: "bytes", str: "a text", int: "a number", float: "a number",
    bool: "a boolean", type(None): "null",
}  # fmt: skip
_SPECIAL = {
    stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFDIR: "a folder",
    stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Replaces ``path`` atomically with what ``write`` puts into a temporary file beside it.

    After a full disk or a kill ``path`` holds the old content or the new, never a part. Raises
    OSError if the file could not be written.
    """
    with staged(path) as file:
        file.fill(write)
        file.sync()
        file.publish()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary file beside ``path`` that replaces it at the end of the block.

    A block that raises leaves ``path`` as it was, and no temporary file. Of two processes that
    replace the same file, the last to end leaves its whole content.
    """
    with staged(path) as file:
        with _naming(path):
            yield file.temporary
        file.sync()
        file.publish()


@dataclass(frozen=True)
class StagedFile:
    """The next content of ``path``, in a temporary file beside it."""

    path: Path
    temporary: Path
    mode: int

    def fill(self, write: Callable[[Path], object]) -> None:
        """Has ``write`` write the temporary file; raises OSError, naming ``path``, if it fails."""
        try:
            write(self.temporary)
        except OSError as error:
            if error.errno is None:  # of a library's own making
                raise self._write_error(error) from error
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        # torch and safetensors report a failed write with errors of their own.
        except (RuntimeError, SafetensorError) as error:
            raise self._write_error(error) from error

    def _write_error(self, error: Exception) -> OSError:
        """The full disk or quota that a library's error hides, or that error."""
        if (code := _RUST_ERROR.search(str(error))) is not None:
            return OSError(int(code[1]), os.strerror(int(code[1])), str(self.path))
        try:
            with self.temporary.open("ab") as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError as reason:
            return OSError(reason.errno, reason.strerror, str(self.path))
        return OSError(errno.EIO, f"a failed write ({first_line(error)})", str(self.path))

    def sync(self) -> None:
        """Waits until the disk has the content."""
        self.temporary.chmod(self.mode)  # safetensors makes files for their owner alone
        with _naming(self.path), open_regular(self.temporary) as file:
            os.fsync(file.fileno())

    def publish(self) -> None:
        """Moves the content into place."""
        os.replace(self.temporary, self.path)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Names ``path`` in the error of a full disk that names no file."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def staged(path: Path) -> Iterator[StagedFile]:
    """Yields an empty temporary file for ``path``; one that is left at the end is removed.

    Its name is random and it is made exclusively, so that no link can wait there. Those that
    killed processes left beside it are removed as well.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    temporary = path.with_name(f".{path.name}.{token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o666)
    try:
        # Held while its writer lives; a file system without locks keeps what is abandoned.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield StagedFile(path, temporary, stat.S_IMODE(os.fstat(descriptor).st_mode))
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Removes temporary files of ``path`` that are a minute old and that no process holds."""
    prefix = f".{path.name}."
    with os.scandir(path.parent) as entries:
        names = [e.name for e in entries if e.name.startswith(prefix) and e.name.endswith(".tmp")]
    for old in map(path.with_name, names):
        with suppress(OSError, UserError):
            if time.time() - old.lstat().st_mtime > _ABANDONED_S:
                with open_regular(old) as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    old.unlink()


def replace_text(path: Path, text: str) -> None:
    """Replaces a text file atomically."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def replace_json(path: Path, value: dict[str, Any]) -> None:
    """Replaces a JSON file atomically; raises ValueError for NaN, which JSON does not have."""
    replace_text(path, json_text(value))


def json_text(value: dict[str, Any]) -> str:
    """The text of a JSON file."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def check_regular(path: Path, max_bytes: float = math.inf) -> None:
    """Refuses a link, a pipe, a device or a file of another size than sane.

    Raises:
        UserError: naming what was found.
        OSError: nothing is there.
    """
    _check_kind(path, path.lstat(), max_bytes)


def _check_kind(path: Path, status: os.stat_result, max_bytes: float = math.inf) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise UserError(str(path), _SPECIAL.get(kind, "a special file"), _REGULAR)
    if status.st_size > max_bytes:
        raise UserError(str(path), f"{status.st_size:,} bytes", f"at most {max_bytes:,} bytes")


def open_regular(path: Path, max_bytes: float = math.inf, follow: bool = False) -> BufferedReader:
    """Opens a file for reading, never a pipe or a device, which might wait for ever.

    Args:
        follow: whether a link to a regular file counts as one.

    Raises:
        UserError, OSError: as :func:`check_regular` does.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        if not follow:
            check_regular(path)  # names a link or a socket
        raise
    try:
        _check_kind(path, os.fstat(descriptor), max_bytes)
    except UserError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, max_bytes: float = MAX_TEXT_BYTES, follow: bool = False) -> bytes:
    """The content of a regular file; takes and raises what :func:`open_regular` does."""
    with open_regular(path, max_bytes, follow) as file:
        return file.read()


def read_object(path: Path, follow: bool = False) -> dict[str, Any]:
    """Reads the object in a JSON file, which may be a link with ``follow``.

    Raises:
        UserError: the file is damaged, no regular file, or holds another kind of value.
        OSError: the file cannot be read.
    """
    return parse_object(path, read_bytes(path, follow=follow))


def parse_object(path: Path, content: bytes) -> dict[str, Any]:
    """The object in the content of the JSON file ``path``; raises UserError for another."""
    try:
        record = json.loads(content.decode("utf-8"))
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
    except TypeError:  # of a caller in Python
        raise UserError(where, repr(path), "a path") from None
    except RuntimeError:
        allowed = "the home of a user that exists, or ./~NAME for a folder of this name"
        raise UserError(where, path, allowed) from None


def short_path(path: Path) -> Path:
    """The path relative to the working directory if it lies below, else as it is."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
