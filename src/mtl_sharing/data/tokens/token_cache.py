"""Tokenised text kept from run to run: it is the same for every regime and seed."""

import tokenizers
from tokenizers import Tokenizer

from mtl_sharing.cache.entry import Entry
from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.data.tokens.tokenizing import Texts, TokenRows, encode, set_limit
from mtl_sharing.utils.hashing import digest_texts

KIND = "tokens"
ARRAYS = ("tokens", "token_types", "offsets")
_SCHEMA = 1  # raise it when `encode` gives other tokens for equal text


class TokenCache:
    """``tokenizing.encode`` with a store of its results.

    Attributes:
        asked: number of lists of texts that were encoded.
        computed: how many of them were not in the store.
    """

    def __init__(self, store: ArrayStore) -> None:
        self._store = store
        self.asked = self.computed = 0

    @property
    def found(self) -> int:
        """How many lists the store had."""
        return self.asked - self.computed

    def encode(self, tokenizer: Tokenizer, texts: Texts, max_length: int) -> TokenRows:
        """The result of ``tokenizing.encode``; its arrays may be mapped and read-only."""

        def compute() -> Entry:
            self.computed += 1
            rows = encode(tokenizer, texts, max_length)
            about = {
                "texts": len(texts),
                "pairs": _are_pairs(texts),
                "max_length": max_length,
                "vocabulary": tokenizer.get_vocab_size(),
                "truncated": rows.truncated,
            }
            return Entry({name: getattr(rows, name) for name in ARRAYS}, about)

        self.asked += 1
        entry = self._store.fetch(KIND, token_key(tokenizer, texts, max_length), compute)
        tokens, types, offsets = (entry.arrays[name] for name in ARRAYS)
        return TokenRows(tokens, types, offsets, entry.about["truncated"])


def token_key(tokenizer: Tokenizer, texts: Texts, max_length: int) -> str:
    """A hexadecimal digest of everything that decides the result of ``encode``."""
    # The limit is part of the tokenizer's text, and the last call may have set another.
    set_limit(tokenizer, max_length)
    head = f"{_SCHEMA} {tokenizers.__version__} {max_length} {_are_pairs(texts)} {len(texts)}"
    return digest_texts((head.encode(), tokenizer.to_str().encode()), texts)


def _are_pairs(texts: Texts) -> bool:
    return bool(texts) and not isinstance(texts[0], str)
