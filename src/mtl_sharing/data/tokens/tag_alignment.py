"""Aligns tags of words with sub-tokens, by the characters that both cover."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mtl_sharing.data.text.tagging import WordTags
from mtl_sharing.data.tokens.tokenizing import Texts, set_limit

_CHUNK = 2048


def align(
    tokenizer: Tokenizer, texts: Texts, max_length: int, words: Sequence[WordTags]
) -> NDArray[np.uint16]:
    """Tags of every token that ``tokenizing.encode`` gives for the same arguments.

    A token that covers parts of several words has the first one's tags. A special token, and one
    that covers no word, has none (0).

    Args:
        words: tags of all texts, or of all first and of all second texts of pairs.

    Returns:
        Part of speech and entity type, shape (tokens, 2).
    """
    set_limit(tokenizer, max_length)
    chunks = [np.zeros((0, 2), np.uint16)]
    for begin in range(0, len(texts), _CHUNK):
        chunk = texts[begin : begin + _CHUNK]
        # Not encode_batch_fast, which omits the characters.
        encodings = tokenizer.encode_batch(chunk)
        spans = np.concatenate([np.array(e.offsets, np.int64).reshape(-1, 2) for e in encodings])
        text = np.arange(len(encodings)).repeat([len(e.offsets) for e in encodings])
        # Each token's text of the pair; -1 for special tokens.
        part_of = np.array([-1 if p is None else p for e in encodings for p in e.sequence_ids])
        tags = np.zeros((len(spans), 2), np.uint16)
        for number, (part, own) in enumerate(zip(words, parts_of(chunk), strict=True)):
            here = part_of == number
            tagged = part.part(begin, begin + len(chunk))
            tags[here] = _tags_of(own, tagged, spans[here], text[here])
        chunks.append(tags)
    return np.concatenate(chunks)


def parts_of(texts: Texts) -> list[list[str]]:
    """The texts, or the first and the second texts of pairs."""
    pairs = [text for text in texts if not isinstance(text, str)]
    if pairs:
        return [[first for first, _ in pairs], [second for _, second in pairs]]
    return [[text for text in texts if isinstance(text, str)]]


def _tags_of(
    texts: Sequence[str], words: WordTags, spans: NDArray[np.int64], text: NDArray[np.int64]
) -> NDArray[np.uint16]:
    """Tags of the first word that each token touches.

    Args:
        texts: the texts, laid end to end here to index all characters at once.
        words: their tagged words.
        spans: start and end of each token in characters of its text, shape (tokens, 2).
        text: number of each token's text, shape (tokens,).

    Returns:
        Shape (tokens, 2).
    """
    bounds = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    sizes = (words.spans[:, 1] - words.spans[:, 0]).astype(np.int64)
    begins = words.spans[:, 0] + bounds[:-1].repeat(np.diff(words.offsets))
    # Indices of all words' characters, one word after the other.
    characters = (begins - (sizes.cumsum() - sizes)).repeat(sizes) + np.arange(sizes.sum())
    last = int(bounds[-1])
    # For each character the first one from there on that is part of a word; ``last`` for none.
    following = np.full(last + 1, last, dtype=np.int64)
    following[characters] = characters
    following = np.minimum.accumulate(following[::-1])[::-1]
    tags = np.zeros((last + 1, 2), np.uint16)
    tags[characters] = words.tags.repeat(sizes, axis=0)
    starts, ends = (spans + bounds[text][:, None]).T
    touched = following[starts]
    return np.where((touched < ends)[:, None], tags[touched], np.uint16(0))
