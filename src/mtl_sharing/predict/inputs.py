"""The input of a prediction as a file: a file, the standard input, or texts of the command line."""

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mtl_sharing.errors import UserError

STANDARD_INPUT = "-"
_BLANKS = b" \t\r\n\xef\xbb\xbf"


@contextmanager
def input_file(path: str | None, texts: Sequence[str] | None) -> Iterator[tuple[Path, str]]:
    """The file to predict, within a block, and what messages call it.

    Args:
        path: a table, or "-" for the standard input: JSON, or what a .txt file may hold.
        texts: instead of a table a text, or two.

    Raises:
        UserError: more than two texts, or one that is not UTF-8.
    """
    if texts is None and path != STANDARD_INPUT:
        file = Path(path or "").expanduser()
        yield file, str(file)
        return
    with TemporaryDirectory(prefix="mtl-predict-") as folder:
        if texts is not None:
            yield _string(texts, Path(folder)), "--string"
        else:
            yield _standard_input(Path(folder)), "standard input"


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
    """A copy of the standard input: a table is read twice."""
    path = folder / "standard-input.txt"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    with path.open("rb") as file:
        start = file.read(4096).lstrip(_BLANKS)
    return path.rename(path.with_suffix(".json")) if start[:1] in (b"{", b"[") else path
