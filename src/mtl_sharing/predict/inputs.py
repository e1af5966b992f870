"""The input of a prediction as a file: a file, the standard input, or texts of the command line."""

import gzip
import json
import logging
import re
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mtl_sharing.data.tables.files import GZIP
from mtl_sharing.errors import UserError

log = logging.getLogger(__name__)

STANDARD_INPUT = ("-", "/dev/stdin")
# How JSON lines and an array of objects begin, unlike a text in brackets.
_JSON = re.compile(rb'\{\s*(["}]|$)|\[\s*([{\]]|$)')
_BLANKS = b" \t\r\n\xef\xbb\xbf"
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_START = 4096


@contextmanager
def input_file(path: str | None, texts: Sequence[str] | None) -> Iterator[tuple[Path, str]]:
    """The file to predict, within a block, and what messages call it.

    Args:
        path: a table, or "-" for the standard input: JSON, Parquet, or what a .txt file may hold.
        texts: instead of a table a text, or two.

    Raises:
        UserError: more than two texts, one that is not UTF-8, or a standard input that is closed.
    """
    if texts is None and path not in STANDARD_INPUT:
        file = Path(path or "").expanduser()
        yield file, str(file)
        return
    name = "--string" if texts is not None else "standard input"
    with TemporaryDirectory(prefix="mtl-predict-") as folder:
        copy = _standard_input(Path(folder)) if texts is None else _string(texts, Path(folder))
        try:
            yield copy, name
        except UserError as error:
            raise UserError(
                error.where.replace(str(copy), name), error.found, error.allowed
            ) from None


def _string(texts: Sequence[str], folder: Path) -> Path:
    if len(texts) > 2:
        raise UserError("--string", f"{len(texts)} texts", "one text, or two of a pair")
    if not all(map(_is_unicode, texts)):
        raise UserError("--string", "bytes that are not UTF-8", "text")
    row = json.dumps(dict(zip(("text", "text_pair"), texts, strict=False)))
    (folder / "string.jsonl").write_text(f"{row}\n")
    return folder / "string.jsonl"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # of such bytes Python makes halves of surrogate pairs
        return False
    return True


def _standard_input(folder: Path) -> Path:
    """A copy of the standard input, with the extension of its content: a table is read twice."""
    if sys.stdin is None:
        raise UserError("standard input", "no input, it is closed", "a file or a pipe")
    if sys.stdin.isatty():
        log.info("reading the standard input; Ctrl-D ends it")
    path = folder / "standard-input"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path.rename(path.with_suffix(_suffix(path)))


def _suffix(path: Path) -> str:
    start = _start(path)
    if start.startswith(_PARQUET):
        return ".parquet"
    packed = GZIP if start.startswith(_GZIP) else ""
    if packed:
        with gzip.open(path) as file:
            try:
                start = file.read(_START)
            except (OSError, EOFError, zlib.error):
                start = b""  # told where the file is read
    return (".jsonl" if _JSON.match(start.lstrip(_BLANKS)) else ".txt") + packed


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_START)
