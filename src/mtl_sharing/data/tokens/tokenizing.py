"""Text to token ids: a checkpoint's own tokenizer, or a WordPiece one trained on the suite."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
from tokenizers.implementations.byte_level_bpe import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing

from mtl_sharing.data.tokens.stored_states import StoredStates
from mtl_sharing.errors import UserError

Texts = Sequence[str] | Sequence[tuple[str, str]]
_CHUNK = 2048
_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_MOST_CHARACTERS = 1000


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Many token sequences in flat arrays: sequence ``i`` is ``offsets[i]:offsets[i + 1]``.

    Attributes:
        tokens: token ids, int32, shape (total,).
        token_types: 0 or 1, uint8, shape (total,).
        offsets: int64, shape (sequences + 1,).
        truncated: how many sequences were cut to the length limit.
        states: what the frozen lower layers make of the sequences, where that is known.
        tags: part of speech and entity type of every token's word, uint16, shape (total, 2);
            0 is none.
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
        places, lengths = self.places(rows)
        tokens, types = self.tokens.take(places), self.token_types.take(places)
        offsets = np.append(0, lengths.cumsum())
        states = None if self.states is None else self.states.take(rows)
        tags = None if self.tags is None else self.tags[places]
        return TokenRows(tokens, types, offsets, self.truncated, states, tags)

    def places(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the tokens of these sequences stand, one after the other, and their lengths."""
        starts = self.offsets.take(rows)
        lengths = self.offsets.take(rows + 1) - starts
        # How far each sequence lies from its place in the result, then where each token lies.
        shifts = starts - (lengths.cumsum() - lengths)
        places = shifts.repeat(lengths)
        places += np.arange(len(places))
        return places, lengths


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint folder.

    Raises:
        UserError: the folder has none, or a damaged one.
    """
    try:
        tokenizer = _read_tokenizer(folder)
    except UserError:
        raise
    except Exception as error:  # the library raises bare Exception for a damaged file
        raise UserError(str(folder), f"a damaged tokenizer ({error})", "tokenizer.json") from None
    tokenizer.no_padding()
    return tokenizer


def _read_tokenizer(folder: Path) -> Tokenizer:
    if (folder / "tokenizer.json").is_file():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    settings = folder / "tokenizer_config.json"
    options = json.loads(settings.read_text("utf-8")) if settings.is_file() else {}
    if (folder / "vocab.txt").is_file():
        lower = bool(options.get("do_lower_case", True))
        return BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=lower)._tokenizer
    if (folder / "merges.txt").is_file():
        files = str(folder / "vocab.json"), str(folder / "merges.txt")
        tokenizer = ByteLevelBPETokenizer(*files)._tokenizer
        vocabulary = tokenizer.get_vocab()
        first, last = ((name, vocabulary[name]) for name in ("<s>", "</s>"))
        tokenizer.post_processor = RobertaProcessing(last, first)
        return tokenizer
    raise UserError(str(folder), "no tokenizer", "tokenizer.json, vocab.txt or merges.txt")


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A lower-casing WordPiece tokenizer with at most ``vocabulary`` tokens, from ``texts``.

    Equal texts give equal tokenizers. Left to itself the library numbers the first word pieces
    (``##a``) by the order of a hash map and breaks ties by these numbers (its issue 1794), so
    they are numbered before it starts.
    """
    lines = list(texts)
    trained = BertWordPieceTokenizer(lowercase=True)
    alphabet = _alphabet(trained, lines)
    pieces = [f"##{c}" for c in alphabet if len(_words(trained, f"a{c}")) == 1]
    trained.train_from_iterator(
        iter(lines),
        vocab_size=vocabulary,
        min_frequency=2,
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        special_tokens=[*_SPECIAL_TOKENS, *pieces],
        show_progress=False,
    )
    # Made anew, or the pieces would stay special and be looked for in texts as they stand.
    return BertWordPieceTokenizer(trained.get_vocab(), lowercase=True)._tokenizer


def _alphabet(tokenizer: BertWordPieceTokenizer, lines: Sequence[str]) -> list[str]:
    """The commonest characters of the texts once normalised, sorted."""
    counts: Counter[str] = Counter()
    for start in range(0, len(lines), _CHUNK):
        joined = " ".join(lines[start : start + _CHUNK])
        counts.update(tokenizer._tokenizer.normalizer.normalize_str(joined))
    ranked = sorted(counts, key=lambda c: (-counts[c], c))
    return sorted([c for c in ranked if not c.isspace()][:_MOST_CHARACTERS])


def _words(tokenizer: BertWordPieceTokenizer, text: str) -> list[Any]:
    parts = tokenizer._tokenizer
    words: list[Any] = parts.pre_tokenizer.pre_tokenize_str(parts.normalizer.normalize_str(text))
    return words


def check_vocabulary(tokenizer: Tokenizer, rows: int) -> None:
    """Raises UserError where a token id would lie outside the embedding table."""
    if tokenizer.get_vocab_size() > rows:
        found = f"{tokenizer.get_vocab_size()} tokens"
        raise UserError("encoder.tokenizer", found, f"at most encoder.vocabulary={rows}")


Encode = Callable[[Tokenizer, Texts, int], TokenRows]


def set_limit(tokenizer: Tokenizer, max_length: int) -> None:
    """Has the tokenizer cut what is longer than ``max_length`` tokens, special ones counted."""
    tokenizer.enable_truncation(max_length, strategy="longest_first")


def encode(tokenizer: Tokenizer, texts: Texts, max_length: int) -> TokenRows:
    """Token sequences of texts, or of pairs joined by the tokenizer's separator.

    Args:
        max_length: longest sequence in tokens, special ones counted; longer texts are cut at
            their end, for pairs at the end of the longer text.
    """
    set_limit(tokenizer, max_length)
    tokens, types, lengths, truncated = [], [], [0], 0
    remaining = iter(texts)
    while chunk := list(islice(remaining, _CHUNK)):
        encodings: list[Encoding] = tokenizer.encode_batch_fast(chunk)
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
