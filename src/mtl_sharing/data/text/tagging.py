"""Parts of speech and named entities of words, as a spaCy pipeline finds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.data.settings import TagsConfig
from mtl_sharing.data.text.spacy_pipelines import digest_pipeline, load_pipeline
from mtl_sharing.errors import UserError

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

# Universal Dependencies, version 2; number 0 is none of them.
UNIVERSAL = ("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON",
             "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X")  # fmt: skip
_WHERE = "suite.tags.pipeline"
_SCHEMA = 1  # to be raised when a pipeline's words get other numbers


@dataclass(frozen=True)
class TagScheme:
    """What the numbers of tags mean: 0 is none, then the names in their order.

    Attributes:
        pipeline: name or folder of the spaCy pipeline.
        digest: of all that decides which tags a text gets, in hexadecimal.
        pos: the parts of speech; empty where they are not wanted.
        entities: the types of named entities; empty where they are not wanted.
    """

    pipeline: str
    digest: str
    pos: tuple[str, ...]
    entities: tuple[str, ...]

    @property
    def rows(self) -> tuple[int, int]:
        """Rows of the two embedding tables, parts of speech first; 0 where there is none."""
        pos, entities = (len(names) + 1 if names else 0 for names in (self.pos, self.entities))
        return pos, entities


@dataclass(frozen=True, eq=False)
class WordTags:
    """The tagged words of many texts in flat arrays: text ``i`` has ``offsets[i]:offsets[i + 1]``.

    Attributes:
        spans: first character of each word in its text, and the one after its last; int32,
            shape (words, 2).
        tags: part of speech and entity type of each word, uint16, shape (words, 2).
        offsets: int64, shape (texts + 1,).
    """

    spans: NDArray[np.int32]
    tags: NDArray[np.uint16]
    offsets: NDArray[np.int64]

    def part(self, begin: int, end: int) -> "WordTags":
        """Texts ``begin`` to, not with, ``end``."""
        offsets = self.offsets[begin : end + 1]
        words = slice(int(offsets[0]), int(offsets[-1]))
        return WordTags(self.spans[words], self.tags[words], offsets - offsets[0])


def tag_scheme(config: TagsConfig) -> TagScheme | None:
    """What the config's pipeline tells of a word; None where the config names no pipeline.

    Raises:
        UserError: a pipeline that cannot be loaded or knows no entity types, or nothing wanted.
    """
    if config.pipeline is None:
        if config != TagsConfig():
            changed = f"pos={config.pos}, ner={config.ner} without {_WHERE}"
            raise UserError("suite.tags", changed, f"{_WHERE} too, which adds the tags")
        return None
    if not (config.pos or config.ner):
        raise UserError("suite.tags", "neither pos nor ner", f"one of them, or {_WHERE}=null")
    nlp = load_pipeline(_WHERE, config.pipeline)
    pos, entities = UNIVERSAL if config.pos else (), entity_types(nlp) if config.ner else ()
    if config.ner and not entities:
        found = f"true, but {config.pipeline} finds no named entities"
        raise UserError("suite.tags.ner", found, "false, or a pipeline that finds some")
    return TagScheme(
        config.pipeline, digest_pipeline(nlp, f"{_SCHEMA} {(pos, entities)}"), pos, entities
    )


def entity_types(nlp: "Language") -> tuple[str, ...]:
    """The types of all components of a pipeline that mark entities, sorted."""
    pipes = [
        pipe
        for name, pipe in nlp.pipeline
        # A span ruler marks entities on request.
        if "doc.ents" in nlp.get_pipe_meta(name).assigns or getattr(pipe, "annotate_ents", False)
    ]
    return tuple(sorted({label for pipe in pipes for label in getattr(pipe, "labels", ())}))


def tag_words(nlp: "Language", scheme: TagScheme, texts: Sequence[str]) -> WordTags:
    """The tags of every word of the texts; white space is no word.

    Raises:
        UserError: an entity type that no component of the pipeline names.
    """
    pos = {name: number for number, name in enumerate(scheme.pos, 1)}
    entities = {name: number for number, name in enumerate(scheme.entities, 1)}
    words = [_words(doc, pos, entities) for doc in nlp.pipe(texts)]
    flat = np.array(list(chain.from_iterable(words)), dtype=np.int64).reshape(-1, 4)
    offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
    return WordTags(flat[:, :2].astype(np.int32), flat[:, 2:].astype(np.uint16), offsets)


def _words(
    doc: "Doc", pos: dict[str, int], entities: dict[str, int]
) -> list[tuple[int, int, int, int]]:
    """Of each word its first character, the one after its last, and its two numbers."""
    found = []
    for token in doc:
        kind = token.ent_type_
        if kind and entities and kind not in entities:
            allowed = "a pipeline whose components name the types that they mark"
            raise UserError(_WHERE, f"the entity type {kind}, which no component names", allowed)
        if not token.is_space:
            numbers = pos.get(token.pos_, 0), entities.get(kind, 0)
            found.append((token.idx, token.idx + len(token), *numbers))
    return found
