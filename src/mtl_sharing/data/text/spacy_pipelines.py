"""Loads spaCy's pipelines, which the extra ``tags`` brings."""

import os
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_sharing.errors import UserError
from mtl_sharing.utils.packages import check_package

if TYPE_CHECKING:
    from spacy.language import Language


def load_pipeline(where: str, source: str) -> "Language":
    """The spaCy pipeline of this name, or in this folder.

    Raises:
        UserError: there is none, it cannot be read, or spaCy is not installed.
    """
    check_package(where, source, "spacy", "tags")
    import spacy

    allowed = "an installed spaCy pipeline (python -m spacy download NAME), or the folder of one"
    try:
        return spacy.load(os.path.expanduser(source))
    except Exception as error:  # what a damaged or strange folder raises depends on its parts
        raise UserError(where, f"{source} ({_first_line(error)})", allowed) from None


def digest_pipeline(nlp: "Language", use: str) -> str:
    """Of all that decides what the pipeline gives, in hexadecimal.

    That is its files with their names (meta.json holds its version), and spaCy's version.

    Args:
        nlp: loaded from a folder or package.
        use: what is made of it, so that each use has keys of its own.
    """
    assert nlp.path is not None  # it was loaded from there
    found = sha256(f"{version('spacy')} {nlp.lang} {use}".encode())
    for path in _files(Path(nlp.path)):
        content = sha256(path.read_bytes()).hexdigest()
        found.update(f"{path.relative_to(nlp.path).as_posix()}\n{content}\n".encode())
    return found.hexdigest()


def _files(folder: Path) -> Iterable[Path]:
    for place, folders, names in os.walk(folder):
        # Reading a package leaves compiled files in it.
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        yield from (Path(place, name) for name in sorted(names))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
