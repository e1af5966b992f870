"""Tokenizes text with a checkpoint's tokenizer or one trained on the suite, and caches tokens."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from tokenizers.implementations.base_tokenizer import BaseTokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from mtl_sharing.cache.store import ArrayStore, Entry
from mtl_sharing.data.tokens.stored_states import StoredStates
from mtl_sharing.errors import UserError, first_line
from mtl_sharing.utils.files import read_bytes
from mtl_sharing.utils.hashing import digest_texts
from mtl_sharing.utils.panics import panics_as_errors

Texts = Sequence[str] | Sequence[tuple[str, str]]
KIND = "tokens"
ARRAYS = ("tokens", "token_types", "offsets")
_SCHEMA = 1  # raise it when `encode` gives other tokens for equal text
_CHUNK = 2048
_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_MAX_ALPHABET = 1000


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Token sequences in flat arrays: sequence ``i`` is ``offsets[i]:offsets[i + 1]``.

    Attributes:
        tokens: token ids, int32, shape (total,).
        token_types: 0 or 1, uint8, shape (total,).
        offsets: int64, shape (sequences + 1,).
        truncated: number of sequences that were cut to the length limit.
        states: stored output of the frozen lower layers for the sequences, or None.
        tags: part of speech and entity type of each token's word, uint16, shape (total, 2);
            0 is no tag.
    """

    tokens: NDArray[np.int32]
    token_types: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    truncated: int
    states: StoredStates | None = None
    tags: NDArray[np.uint16] | None = None

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence."""
        return np.diff(self.offsets)

    def take(self, rows: NDArray[np.int64]) -> "TokenRows":
        """The sequences with these numbers."""
        indices, lengths = self.token_indices(rows)
        tokens, types = self.tokens.take(indices), self.token_types.take(indices)
        offsets = np.append(0, lengths.cumsum())
        states = None if self.states is None else self.states.take(rows)
        tags = None if self.tags is None else self.tags[indices]
        return TokenRows(tokens, types, offsets, self.truncated, states, tags)

    def token_indices(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indices of all tokens of these sequences, in their order, and the sequences' lengths."""
        starts = self.offsets.take(rows)
        lengths = self.offsets.take(rows + 1) - starts
        # Each sequence's start here minus its start in the result.
        shifts = starts - (lengths.cumsum() - lengths)
        indices = shifts.repeat(lengths)
        indices += np.arange(len(indices))
        return indices, lengths


def read_tokenizer(path: Path) -> Tokenizer:
    """Reads the tokenizer.json of a run as it is; raises UserError for a damaged one or a pipe."""
    content = read_bytes(path, follow=True)
    try:
        with panics_as_errors():
            tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises bare Exception for a damaged file
        found = f"a damaged tokenizer ({first_line(error)})"
        raise UserError(str(path), found, "a whole tokenizer.json") from None
    tokenizer.no_padding()
    return tokenizer


def _unwrapped(tokenizer: BaseTokenizer) -> Tokenizer:
    """The tokenizer inside one of the library's ready-made ones."""
    return Tokenizer.from_str(tokenizer.to_str())


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Trains a lower-casing WordPiece tokenizer with at most ``vocabulary`` tokens.

    Equal texts give equal tokenizers. By default the library numbers the first word pieces
    (``##a``) in the order of a hash map and breaks ties by these numbers (its issue 1794), so
    they are numbered here before training.
    """
    lines = list(texts)
    trained = BertWordPieceTokenizer(lowercase=True)
    alphabet = _alphabet(trained, lines)
    pieces = [f"##{c}" for c in alphabet if _continues_word(trained, c)]
    trained.train_from_iterator(
        iter(lines),
        vocab_size=vocabulary,
        min_frequency=2,
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        special_tokens=[*_SPECIAL_TOKENS, *pieces],
        show_progress=False,
    )
    # A new tokenizer, because the pieces are special tokens of this one and would match raw text.
    return _unwrapped(BertWordPieceTokenizer(trained.get_vocab(), lowercase=True))


def _alphabet(tokenizer: BertWordPieceTokenizer, lines: Sequence[str]) -> list[str]:
    """The most frequent characters of the normalised texts, sorted."""
    counts: Counter[str] = Counter()
    for start in range(0, len(lines), _CHUNK):
        joined = " ".join(lines[start : start + _CHUNK])
        counts.update(tokenizer.normalizer.normalize_str(joined))
    ranked = sorted(counts, key=lambda c: (-counts[c], c))
    return sorted([c for c in ranked if not c.isspace()][:_MAX_ALPHABET])


def _continues_word(tokenizer: BertWordPieceTokenizer, character: str) -> bool:
    text = tokenizer.normalizer.normalize_str(f"a{character}")
    return len(tokenizer.pre_tokenizer.pre_tokenize_str(text)) == 1


def check_vocabulary(tokenizer: Tokenizer, rows: int) -> None:
    """Raises UserError if a token id exceeds the embedding table."""
    token, highest = max(tokenizer.get_vocab().items(), key=itemgetter(1), default=("", -1))
    if highest >= rows:
        found = f"token {token} with id {highest}"
        allowed = f"ids below encoder.vocabulary={rows} (special tokens that it lacks come last)"
        raise UserError("encoder.tokenizer", found, allowed)


Encode = Callable[[Tokenizer, Texts, int], TokenRows]


def set_limit(tokenizer: Tokenizer, max_length: int) -> None:
    """Sets the tokenizer's limit to ``max_length`` tokens, special ones included.

    It keeps the end at which the tokenizer cuts.
    """
    side = (tokenizer.truncation or {}).get("direction", "right")
    tokenizer.enable_truncation(max_length, strategy="longest_first", direction=side)


@contextmanager
def encoding_errors() -> Iterator[None]:
    """Turns an error of the tokenizer on a text into a UserError."""
    try:
        with panics_as_errors():
            yield
    except Exception as error:
        if type(error) not in (Exception, RuntimeError):  # the library's own errors are bare
            raise
        found = f"a tokenizer that fails on a text ({first_line(error)})"
        allowed = "a tokenizer.json whose patterns and unknown token serve every text"
        raise UserError("encoder.tokenizer", found, allowed) from None


def encode(tokenizer: Tokenizer, texts: Texts, max_length: int) -> TokenRows:
    """Tokenizes texts, or pairs joined by the tokenizer's separator.

    Texts longer than ``max_length`` tokens, special ones included, are cut at their end (or their
    start, as the tokenizer says), pairs at the end of the longer text.
    """
    set_limit(tokenizer, max_length)
    tokens, types, lengths, truncated = [], [], [0], 0
    for start in range(0, len(texts), _CHUNK):
        with encoding_errors():
            encodings: list[Encoding] = tokenizer.encode_batch_fast(texts[start : start + _CHUNK])
        for encoding in encodings:
            tokens.append(np.array(encoding.ids, dtype=np.int32))
            types.append(np.array(encoding.type_ids, dtype=np.uint8))
            lengths.append(len(encoding.ids))
            truncated += bool(encoding.overflowing)
    return TokenRows(
        tokens=np.concatenate([np.zeros(0, np.int32), *tokens]),
        token_types=np.concatenate([np.zeros(0, np.uint8), *types]),
        offsets=np.cumsum(lengths, dtype=np.int64),
        truncated=truncated,
    )


class TokenCache:
    """``tokenizing.encode`` with a store of its results.

    Attributes:
        asked: number of lists of texts that were encoded.
        found: how many of them the store had.
    """

    def __init__(self, store: ArrayStore) -> None:
        self._store = store
        self.asked = self.found = 0

    def encode(self, tokenizer: Tokenizer, texts: Texts, max_length: int) -> TokenRows:
        """The result of ``tokenizing.encode``; its arrays may be mapped and read-only."""

        def compute() -> Entry:
            self.found -= 1
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
        self.found += 1
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
