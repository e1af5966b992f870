"""Tokenised text kept from run to run: it is the same for every regime and seed."""

import tokenizers
from tokenizers import Tokenizer

from mtl_sharing.cache.entry import Entry
from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.data.tokens.tokenizing import Texts, TokenRows, encode, set_limit
from mtl_sharing.utils.hashing import digest_texts

KIND = "tokens"
ARRAYS = ("tokens", "token_types", "offsets")
_SCHEMA = 1  # to be raised when `encode` gives other tokens for equal text


class TokenCache:
    """``tokenizing.encode`` that looks for its result in a store first, and leaves it there.

    Attributes:
        asked: lists of texts that were wanted.
        found: how many of them the store had.
    """

    def __init__(self, store: ArrayStore) -> None:
        self._store = store
        self.asked = 0
        self.found = 0

    def encode(self, tokenizer: Tokenizer, texts: Texts, max_length: int) -> TokenRows:
        """The same as ``tokenizing.encode``; its arrays may lie on disk and cannot be written."""
        self.asked += 1
        with self._store.exclusive(KIND, token_key(tokenizer, texts, max_length)) as place:
            if place.entry is not None:
                self.found += 1
                return _rows(place.entry)
            rows = encode(tokenizer, texts, max_length)
            about = {
                "texts": len(texts),
                "pairs": _are_pairs(texts),
                "max_length": max_length,
                "vocabulary": tokenizer.get_vocab_size(),
                "truncated": rows.truncated,
            }
            arrays = {name: getattr(rows, name) for name in ARRAYS}
            entry = place.publish(about, arrays)
        return rows if entry is None else _rows(entry)


def _rows(entry: Entry) -> TokenRows:
    tokens, types, offsets = (entry.arrays[name] for name in ARRAYS)
    return TokenRows(tokens, types, offsets, entry.about["truncated"])


def token_key(tokenizer: Tokenizer, texts: Texts, max_length: int) -> str:
    """A digest of everything that decides what ``encode`` gives, in hexadecimal."""
    # The limit is part of what the tokenizer writes, and the last call may have left another.
    set_limit(tokenizer, max_length)
    head = f"{_SCHEMA} {tokenizers.__version__} {max_length} {_are_pairs(texts)} {len(texts)}"
    return digest_texts((head.encode(), tokenizer.to_str().encode()), texts)


def _are_pairs(texts: Texts) -> bool:
    return bool(texts) and not isinstance(texts[0], str)
