"""Small rule-based spaCy pipelines, because no trained one may be installed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ENTITIES = {"paris": "CITY", "brown fox": "ANIMAL", "snowflake": "WEATHER"}
POS = {"the": "DET", "fox": "NOUN", "fantastically": "ADV", "snowflake": "NOUN", "is": "AUX",
       "in": "ADP", "paris": "PROPN", "n't": "PART", ".": "PUNCT", "brown": "ADJ"}  # fmt: skip


def make_pipeline(
    folder: Path,
    entities: Mapping[str, str] = ENTITIES,
    pos: Mapping[str, str] = POS,
    lemmas: Mapping[str, str] | None = None,
) -> Path:
    """Writes an English pipeline that knows these lower-case words; skips without spaCy."""
    spacy = pytest.importorskip("spacy", reason="pip install 'mtl-sharing[tags]'")
    nlp = spacy.blank("en")
    if entities:
        patterns = [
            {"label": label, "pattern": _lower(phrase.split())}
            for phrase, label in entities.items()
        ]
        nlp.add_pipe("entity_ruler").add_patterns(patterns)
    attributes = {"POS": pos, "LEMMA": lemmas or {}}
    if any(attributes.values()):
        nlp.add_pipe("attribute_ruler").add_patterns(
            [
                {"patterns": [_lower([word])], "attrs": {name: value}}
                for name, values in attributes.items()
                for word, value in values.items()
            ]
        )
    nlp.to_disk(folder)
    return folder


def _lower(words: Sequence[str]) -> list[dict[str, str]]:
    return [{"LOWER": word} for word in words]
