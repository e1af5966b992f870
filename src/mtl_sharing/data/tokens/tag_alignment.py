"""Puts each word's tags on its sub-tokens, by the characters that both cover."""

from collections.abc import Sequence
from dataclasses import dataclass

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

    A token that covers parts of several words has the first one's tags; a special token, and one
    that covers no word, has none (0).

    Args:
        words: tags of all texts, or of all first and of all second texts of pairs.

    Returns:
        Part of speech and entity type, shape (tokens, 2).
    """
    set_limit(tokenizer, max_length)
    found = [np.zeros((0, 2), np.uint16)]
    for begin in range(0, len(texts), _CHUNK):
        chunk = texts[begin : begin + _CHUNK]
        spans = _spans(tokenizer, chunk)
        tags = np.zeros((len(spans.characters), 2), np.uint16)
        for number, (part, own) in enumerate(zip(words, parts_of(chunk), strict=True)):
            tagged = _Characters.of(own, part.part(begin, begin + len(chunk)))
            here = spans.part == number
            tags[here] = tagged.tags_of(spans.characters[here], spans.text[here])
        found.append(tags)
    return np.concatenate(found)


def parts_of(texts: Texts) -> list[list[str]]:
    """The texts, or the first and the second texts of pairs."""
    pairs = [text for text in texts if not isinstance(text, str)]
    if pairs:
        return [[first for first, _ in pairs], [second for _, second in pairs]]
    return [[text for text in texts if isinstance(text, str)]]


@dataclass(frozen=True, eq=False)
class _Spans:
    """Where each token comes from.

    Attributes:
        characters: its first character and the one after its last, shape (tokens, 2).
        text: number of its text, or of its pair.
        part: 0 for the first text of a pair, 1 for the second, -1 for special tokens.
    """

    characters: NDArray[np.int64]
    text: NDArray[np.int64]
    part: NDArray[np.int64]


def _spans(tokenizer: Tokenizer, texts: Texts) -> _Spans:
    # The fast variant that `encode` uses leaves the characters out.
    encodings = tokenizer.encode_batch(texts)
    characters = [np.array(e.offsets, dtype=np.int64).reshape(-1, 2) for e in encodings]
    parts = [-1 if part is None else part for e in encodings for part in e.sequence_ids]
    lengths = [len(each) for each in characters]
    return _Spans(
        np.concatenate(characters),
        np.arange(len(lengths)).repeat(lengths),
        np.array(parts, dtype=np.int64),
    )


@dataclass(frozen=True, eq=False)
class _Characters:
    """Texts laid end to end, character by character, and one place after the last.

    Attributes:
        starts: where each text starts.
        following: for each place, the first one from there on that lies in a word.
        tags: of the word at each place, shape (places, 2).
    """

    starts: NDArray[np.int64]
    following: NDArray[np.int64]
    tags: NDArray[np.uint16]

    @staticmethod
    def of(texts: Sequence[str], words: WordTags) -> "_Characters":
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        sizes = (words.spans[:, 1] - words.spans[:, 0]).astype(np.int64)
        begins = words.spans[:, 0] + ends[:-1].repeat(np.diff(words.offsets))
        # The places of all words' characters, one word after the other.
        places = (begins - (sizes.cumsum() - sizes)).repeat(sizes) + np.arange(sizes.sum())
        last = int(ends[-1])
        following = np.full(last + 1, last, dtype=np.int64)
        following[places] = places
        tags = np.zeros((last + 1, 2), np.uint16)
        tags[places] = words.tags.repeat(sizes, axis=0)
        return _Characters(ends[:-1], np.minimum.accumulate(following[::-1])[::-1], tags)

    def tags_of(self, characters: NDArray[np.int64], text: NDArray[np.int64]) -> NDArray[np.uint16]:
        """Tags of the first word that each span of characters of a text touches."""
        begins, ends = (characters + self.starts[text][:, None]).T
        places = self.following[begins]
        return np.where((places < ends)[:, None], self.tags[places], np.uint16(0))
