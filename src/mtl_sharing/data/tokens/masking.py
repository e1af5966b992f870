"""Masked batches for masked language modelling."""

from dataclasses import dataclass, field, replace
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from mtl_sharing.batch import BatchSize, LabelledBatch, Ladder
from mtl_sharing.data.tokens.batches import EncodedTask, TrainingBatches
from mtl_sharing.errors import UserError

MASKS = ("[MASK]", "<mask>")
# A tokenizer made from vocabulary files alone does not mark its special tokens.
_SPECIAL = (*MASKS, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "<pad>", "<unk>", "<s>", "</s>")
# Prefix of a word's first piece in byte-level BPE and in SentencePiece.
_WORD_MARKS = ("Ġ", "▁")
# Shares of the chosen tokens that become the mask token, and any token (Devlin et al. 2019, 3.1).
_HIDDEN, _REPLACED = 0.8, 0.1


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Properties of a tokenizer that masking needs.

    Attributes:
        mask: id of the mask token.
        ordinary: ids of all tokens that are not special, int64.
        special: whether each id is a special token, bool, shape (size,).
        continues: whether each id continues the word of the id before it, bool, shape (size,).
    """

    mask: int
    ordinary: NDArray[np.int64]
    special: NDArray[np.bool_]
    continues: NDArray[np.bool_]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Vocabulary":
        """Reads the vocabulary of a tokenizer; raises UserError if it has no mask token.

        Continuing pieces have the prefix ``##`` in WordPiece. In byte-level BPE and SentencePiece
        they lack the prefix of a word's first piece (``Ġ``, ``▁``).
        """
        ids = tokenizer.get_vocab()
        masks = [ids[name] for name in MASKS if name in ids]
        if not masks:
            allowed = f"a tokenizer with {' or '.join(MASKS)}"
            raise UserError("encoder.tokenizer", "no mask token", allowed)
        special = np.zeros(max(ids.values()) + 1, dtype=bool)
        added = tokenizer.get_added_tokens_decoder().items()
        special[[number for number, token in added if token.special]] = True
        special[[ids[name] for name in _SPECIAL if name in ids]] = True
        continues = np.zeros_like(special)
        continues[_continuing(tokenizer, ids)] = True
        ordinary = np.array(sorted(n for n in ids.values() if not special[n]), dtype=np.int64)
        return cls(masks[0], ordinary, special, continues & ~special)


def _continuing(tokenizer: Tokenizer, ids: dict[str, int]) -> list[int]:
    """Ids of the pieces that continue a word."""
    if isinstance(tokenizer.model, WordPiece):
        prefix = tokenizer.model.continuing_subword_prefix
        return [number for piece, number in ids.items() if piece.startswith(prefix)]
    if not any(piece.startswith(_WORD_MARKS) for piece in ids):
        return []  # complete words, or pieces without a mark of a word's start
    return [number for piece, number in ids.items() if not piece.startswith(_WORD_MARKS)]


def mask_tokens(
    tokens: NDArray[np.int64],
    lengths: tuple[int, ...],
    vocabulary: Vocabulary,
    rate: float,
    whole_word: bool,
    random: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Chooses tokens and hides them as BERT does (Devlin et al. 2019, section 3.1).

    Of the chosen tokens 80% become the mask token, 10% a random ordinary token, and 10% stay.
    Special tokens are never chosen. Unlike in BERT, the number of chosen tokens is computed over
    the batch, not each sequence, because 15% of a short sequence is less than one token. It is at
    least 1 if any token is ordinary.

    Args:
        tokens, lengths: ids of packed sequences, shape (N,), and the number of each one's tokens.
        rate: share of the ordinary tokens that are chosen, 0 to 1.
        whole_word: choose all pieces of a word together; a word that would exceed the rate is
            skipped, as in BERT's whole-word masking. Each piece is then hidden independently.

    Returns:
        The ids after masking, shape (N,), and the positions to predict, ascending, shape (P,).
    """
    starts = np.ones(len(tokens), dtype=bool)
    if whole_word:
        starts = ~vocabulary.continues[tokens]
        starts[np.cumsum((0, *lengths[:-1]))] = True
        starts[1:] |= vocabulary.special[tokens[:-1]]  # a special token ends the word before it
    picked = _pick(starts, vocabulary.special[tokens], rate, random)
    draws, hidden = random.random(len(picked)), tokens.copy()
    hidden[picked[draws < _HIDDEN]] = vocabulary.mask
    replaced = picked[(draws >= _HIDDEN) & (draws < _HIDDEN + _REPLACED)]
    hidden[replaced] = random.choice(vocabulary.ordinary, len(replaced))
    return hidden, picked


def _pick(
    starts: NDArray[np.bool_], special: NDArray[np.bool_], rate: float, random: np.random.Generator
) -> NDArray[np.int64]:
    """Positions of all tokens of randomly chosen words."""
    word, begins = starts.cumsum() - 1, np.flatnonzero(starts)
    order = random.permutation(np.flatnonzero(~special[begins]))
    if not len(order):
        return order
    sizes = np.bincount(word)[order].tolist()
    left = max(1, round(rate * int((~special).sum())))
    chosen = np.zeros(len(begins), dtype=bool)
    for number, size in zip(order.tolist(), sizes, strict=True):
        if size <= left:
            chosen[number] = True
            left -= size
        if not left:
            break
    if not chosen.any():  # every word is longer than what may be chosen
        chosen[order[0]] = True
    return np.flatnonzero(chosen[word])


@dataclass
class MaskedBatches:
    """Endless masked batches of one task.

    Texts are shuffled and grouped by length as in :class:`TrainingBatches`. Batch ``k`` depends on
    the seed, the task's name and ``k`` alone, and every epoch hides other tokens. Labels are the
    hidden ids, shape (P,).

    Args:
        second: whether to include second texts of separately encoded pairs.
        rate, whole_word: see :func:`mask_tokens`.
    """

    task: str
    data: EncodedTask
    batch_size: int
    seed: int
    vocabulary: Vocabulary
    rate: float = 0.15
    whole_word: bool = False
    second: bool = False
    ladder: Ladder | None = None
    fill: bool = True
    _texts: TrainingBatches = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Stored states belong to the unmasked text, and tags would reveal hidden words.
        first = replace(self.data.first, states=None, tags=None)
        second = self.data.second if self.second else None
        second = None if second is None else replace(second, states=None, tags=None)
        texts = replace(self.data, first=first, second=second)
        self._texts = TrainingBatches(
            self.task, texts, self.batch_size, self.seed, self.ladder, self.fill
        )

    def __len__(self) -> int:
        """Number of batches of one epoch; the last may be smaller."""
        return len(self._texts)

    def size(self, number: int) -> BatchSize:
        """The size of a batch, which need not be read for it."""
        return self._texts.size(number)

    def __getitem__(self, number: int) -> LabelledBatch:
        text = self._texts[number].text
        random = np.random.default_rng([self.seed, crc32(f"mask/{self.task}".encode()), number])
        tokens = text.tokens.clone()
        real = tokens[: sum(text.lengths)].numpy()
        hidden, positions = mask_tokens(
            real, text.lengths, self.vocabulary, self.rate, self.whole_word, random
        )
        real[:] = hidden
        picked = torch.from_numpy(positions)
        return LabelledBatch(replace(text, tokens=tokens, picked=picked), text.tokens[picked])
