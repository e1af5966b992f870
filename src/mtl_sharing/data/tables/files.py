"""Opens text files, plain or gzip, and counts what their lines become."""

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TextIO, cast

from mtl_sharing.errors import UserError, first_line

GZIP = ".gz"
_GZIP_MAGIC = b"\x1f\x8b"
_BROKEN_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass
class LineCounts:
    """What the lines of one or more tables became; readers add to it as they go.

    Attributes:
        lines: lines read from text tables and JSON lines.
        objects: rows read from Parquet, JSON arrays and data sets, which have no lines.
        header: lines of headers.
        blank: blank lines.
        quoted: lines that continue a quoted field of an earlier line.
    """

    lines: int = 0
    objects: int = 0
    header: int = 0
    blank: int = 0
    quoted: int = 0

    def describe(self, used: str, rows: int, skipped: int = 0) -> str:
        """The counts as a sum: all lines, and what they became.

        Args:
            used: name of the rows that were used.
        """
        read = {"lines": self.lines, "rows": self.objects}
        parts = {"header": self.header, used: rows, "skipped": skipped, "blank": self.blank,
                 "inside quoted fields": self.quoted}  # fmt: skip
        left = " and ".join(f"{count:,} {name}" for name, count in read.items() if count)
        right = [f"{count:,} {name}" for name, count in parts.items() if count or name == used]
        return f"{left or 'no lines'} read: {', '.join(right)}"


def extension(path: Path) -> str:
    """The file's extension in lower case, without a final ``.gz``."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix == GZIP else suffix


@contextmanager
def open_text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Opens a UTF-8 file, with or without a BOM; gzip is recognised by its first bytes.

    Raises:
        UserError: within the block, for broken gzip data, and with ``file:line`` for text that is
            not UTF-8.
    """
    try:
        with _opener(path)(path, "rt", encoding="utf-8-sig", newline=newline) as file:
            yield cast(TextIO, file)
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    except _BROKEN_GZIP as error:
        raise _broken_gzip(path, error) from None


def read_start(path: Path, size: int) -> bytes:
    """The first bytes of a file's text, unpacked and without a BOM; raises as ``open_text``."""
    try:
        with _opener(path)(path, "rb") as file:
            return cast(bytes, file.read(size)).removeprefix(codecs.BOM_UTF8)
    except _BROKEN_GZIP as error:
        raise _broken_gzip(path, error) from None


def _opener(path: Path) -> Callable[..., IO[Any]]:
    return gzip.open if _magic(path) == _GZIP_MAGIC else open


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2)


def _broken_gzip(path: Path, error: Exception) -> UserError:
    return UserError(str(path), f"broken gzip data ({first_line(error)})", "a sound file")


def _not_utf8(path: Path) -> UserError:
    """The error that names the line of the first byte that is not UTF-8."""
    if _magic(path) in _UTF16_MARKS:
        return UserError(str(path), "UTF-16 text", "UTF-8 text: save the file as UTF-8")
    with _opener(path)(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                found = f"the byte 0x{line[error.start]:02x}, which is not UTF-8"
                return UserError(f"{path}:{number}", found, "UTF-8 text")
    return UserError(str(path), "text that is not UTF-8", "UTF-8 text")
