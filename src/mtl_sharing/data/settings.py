"""The part of config group ``suite`` that adds tags to words. Without numpy, to start fast."""

from dataclasses import dataclass


@dataclass
class TagsConfig:
    """``suite.tags``: what a spaCy pipeline says of each word, as embeddings of the encoder's.

    Attributes:
        pipeline: an installed spaCy pipeline's name, or the folder of one; null adds no tags. A
            package runs its own code, so take only one that you trust.
        pos: parts of speech, as Universal Dependencies names them.
        ner: types of named entities, as the pipeline names them.
    """

    pipeline: str | None = None
    pos: bool = True
    ner: bool = True
