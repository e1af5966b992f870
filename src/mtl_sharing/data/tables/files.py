"""Opens text files, plain or gzip, and counts what their lines become."""

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from mtl_sharing.errors import UserError, first_line
from mtl_sharing.utils.files import open_regular

GZIP = ".gz"
_GZIP_MAGIC = b"\x1f\x8b"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass
class LineCounts:
    """Counts of what the lines of tables became; readers add to them as they go.

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
        with _opened(path, mode="rt", encoding="utf-8-sig", newline=newline) as file:
            yield file
    except UnicodeDecodeError:
        raise _not_utf8(path) from None


def read_start(path: Path, size: int) -> bytes:
    """The first bytes of a file's text, unpacked and without a BOM; raises as ``open_text``."""
    with _opened(path, mode="rb") as file:
        start: bytes = file.read(size)
    return start.removeprefix(codecs.BOM_UTF8)


@contextmanager
def _opened(path: Path, **options: Any) -> Iterator[Any]:
    """Opens a file, in gzip or not; raises UserError within the block for broken gzip data."""
    opener: Callable[..., Any] = gzip.open if _magic(path) == _GZIP_MAGIC else open
    try:
        with opener(path, **options) as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        found = f"broken gzip data ({first_line(error)})"
        raise UserError(str(path), found, "a sound file") from None


def _magic(path: Path) -> bytes:
    with open_regular(path, follow=True) as file:
        return file.read(2)


def _not_utf8(path: Path) -> UserError:
    """The error that names the line of the first byte that is not UTF-8."""
    if _magic(path) in _UTF16_MARKS:
        return UserError(str(path), "UTF-16 text", "UTF-8 text: save the file as UTF-8")
    with _opened(path, mode="rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                found = f"the byte 0x{line[error.start]:02x}, which is not UTF-8"
                return UserError(f"{path}:{number}", found, "UTF-8 text")
    return UserError(str(path), "text that is not UTF-8", "UTF-8 text")
