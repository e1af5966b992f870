"""spaCy pipelines, and the part-of-speech and named-entity tags that they give words."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.data.settings import TagsConfig
from mtl_sharing.errors import UserError, first_line
from mtl_sharing.utils.environment import check_package
from mtl_sharing.utils.hashing import digest_file

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc


def load_pipeline(where: str, source: str) -> "Language":
    """Loads a spaCy pipeline by its name or folder; raises UserError at ``where`` if it cannot.

    Only a package that is installed as a pipeline is imported.
    """
    check_package(where, source, "spacy", "tags")
    import spacy

    allowed = "an installed spaCy pipeline (python -m spacy download NAME), or the folder of one"
    folder = Path(os.path.expanduser(source))
    # spaCy itself would import any installed package, and a run of others may name one.
    is_installed = source in spacy.util.get_installed_models()
    if not is_installed and not folder.is_dir():
        raise UserError(where, f"{source}, which is neither", allowed)
    try:
        return spacy.load(source if is_installed else folder)
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
            content = digest_file(folder / path)
            digest.update(f"{path.as_posix()}\n{content}\n".encode())
    return digest.hexdigest()


# Universal Dependencies, version 2, numbered from 1; 0 is no tag.
UNIVERSAL = ("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON",
             "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X")  # fmt: skip
_WHERE = "suite.tags.pipeline"
_SCHEMA = 1  # increase it when equal words get other numbers


@dataclass(frozen=True)
class TagScheme:
    """Numbering of tags: 0 is no tag, then the names from 1 in their order.

    Attributes:
        pipeline: name or folder of the spaCy pipeline.
        digest: digest of everything that affects a text's tags, in hexadecimal.
        pos, entities: parts of speech and types of named entities; empty if switched off.
    """

    pipeline: str
    digest: str
    pos: tuple[str, ...]
    entities: tuple[str, ...]

    @property
    def rows(self) -> tuple[int, int]:
        """Rows of the embedding tables of parts of speech and of entities; 0 for no table."""
        pos, entities = (len(names) + 1 if names else 0 for names in (self.pos, self.entities))
        return pos, entities


@dataclass(frozen=True, eq=False)
class WordTags:
    """Tagged words of many texts in flat arrays: text ``i`` has ``offsets[i]:offsets[i + 1]``.

    Attributes:
        spans: start and end (exclusive) of each word in characters of its text; int32, shape
            (words, 2).
        tags: part of speech and entity type of each word, uint16, shape (words, 2).
        offsets: int64, shape (texts + 1,).
    """

    spans: NDArray[np.int32]
    tags: NDArray[np.uint16]
    offsets: NDArray[np.int64]

    def part(self, begin: int, end: int) -> "WordTags":
        """The words of texts ``begin`` to ``end`` (exclusive)."""
        offsets = self.offsets[begin : end + 1]
        words = slice(int(offsets[0]), int(offsets[-1]))
        return WordTags(self.spans[words], self.tags[words], offsets - offsets[0])


def tag_scheme(config: TagsConfig) -> TagScheme | None:
    """The tag scheme of the config's pipeline; None if it names no pipeline.

    Raises UserError if the pipeline cannot be loaded or has no entity types, or all tags are off.
    """
    if config.pipeline is None:
        if config != TagsConfig():
            changed = f"pos={config.pos}, ner={config.ner} without {_WHERE}"
            raise UserError("suite.tags", changed, f"{_WHERE} too, which adds the tags")
        return None
    if not (config.pos or config.ner):
        raise UserError("suite.tags", "neither pos nor ner", f"one of them, or {_WHERE}=null")
    nlp = load_pipeline(_WHERE, config.pipeline)
    pos, entities = UNIVERSAL if config.pos else (), _entity_types(nlp) if config.ner else ()
    if config.ner and not entities:
        found = f"true, but {config.pipeline} finds no named entities"
        raise UserError("suite.tags.ner", found, "false, or a pipeline that finds some")
    digest = digest_pipeline(nlp, f"{_SCHEMA} {(pos, entities)}")
    return TagScheme(config.pipeline, digest, pos, entities)


def _entity_types(nlp: "Language") -> tuple[str, ...]:
    """Sorted types of all components that mark entities."""
    pipes = [
        pipe
        for name, pipe in nlp.pipeline
        # A span ruler marks entities only if configured so.
        if "doc.ents" in nlp.get_pipe_meta(name).assigns or getattr(pipe, "annotate_ents", False)
    ]
    return tuple(sorted({label for pipe in pipes for label in getattr(pipe, "labels", ())}))


def tag_words(nlp: "Language", scheme: TagScheme, texts: Sequence[str]) -> WordTags:
    """Tags every word of the texts; raises UserError for an undeclared type of entities."""
    pos = {name: number for number, name in enumerate(scheme.pos, 1)}
    entities = {name: number for number, name in enumerate(scheme.entities, 1)}
    words = [_words(doc, pos, entities) for doc in nlp.pipe(texts)]
    flat = np.array(list(chain.from_iterable(words)), dtype=np.int64).reshape(-1, 4)
    offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
    return WordTags(flat[:, :2].astype(np.int32), flat[:, 2:].astype(np.uint16), offsets)


def _words(
    doc: "Doc", pos: dict[str, int], entities: dict[str, int]
) -> list[tuple[int, int, int, int]]:
    """Start, end, part of speech and entity type of each word."""
    rows = []
    for token in doc:
        kind = token.ent_type_
        if kind and entities and kind not in entities:
            allowed = "a pipeline whose components name the types that they mark"
            raise UserError(_WHERE, f"the entity type {kind}, which no component names", allowed)
        if not token.is_space:
            end = token.idx + len(token)
            rows.append((token.idx, end, pos.get(token.pos_, 0), entities.get(kind, 0)))
    return rows
