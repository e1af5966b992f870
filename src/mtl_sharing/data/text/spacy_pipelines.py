"""Loads spaCy pipelines, for which the extra ``tags`` installs spaCy."""

import os
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_sharing.errors import UserError, first_line
from mtl_sharing.utils.environment import check_package

if TYPE_CHECKING:
    from spacy.language import Language


def load_pipeline(where: str, source: str) -> "Language":
    """Loads a spaCy pipeline by its name or folder.

    Raises:
        UserError: naming ``where``, if it is missing or unreadable, or spaCy is not installed.
    """
    check_package(where, source, "spacy", "tags")
    import spacy

    allowed = "an installed spaCy pipeline (python -m spacy download NAME), or the folder of one"
    try:
        return spacy.load(os.path.expanduser(source))
    except Exception as error:  # what a damaged folder raises depends on its components
        raise UserError(where, f"{source} ({first_line(error)})", allowed) from None


def digest_pipeline(nlp: "Language", use: str) -> str:
    """A hexadecimal digest of everything that affects the pipeline's output used for ``use``.

    It covers spaCy's version and the pipeline's files with their names (meta.json has its version).
    """
    assert nlp.path is not None  # load_pipeline reads folders and packages only
    folder = Path(nlp.path)
    digest = sha256(f"{version('spacy')} {nlp.lang} {use}".encode())
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: (path.parent.parts, path.name)):
        if "__pycache__" not in path.parts:  # importing a package leaves compiled files
            content = sha256((folder / path).read_bytes()).hexdigest()
            digest.update(f"{path.as_posix()}\n{content}\n".encode())
    return digest.hexdigest()
