"""Masked batches: tokens that are hidden from the model, which then has to predict them."""

from dataclasses import dataclass, field, replace
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from mtl_sharing.batch import LabelledBatch
from mtl_sharing.data.tokens.batches import EncodedTask, TrainingBatches
from mtl_sharing.errors import UserError

MASKS = ("[MASK]", "<mask>")
# A tokenizer made from vocabulary files alone does not say which of its tokens are special.
_SPECIAL = (*MASKS, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "<pad>", "<unk>", "<s>", "</s>")
# What byte-level BPE and SentencePiece put before the first piece of a word.
_WORD_MARKS = ("Ġ", "▁")
# Shares of the chosen tokens that become the mask token, and any token (Devlin et al. 2019, 3.1).
_HIDDEN, _REPLACED = 0.8, 0.1


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What masking must know of a tokenizer.

    Attributes:
        mask: id of the mask token.
        ordinary: ids of all tokens that are not special, int64.
        special: whether each id is a special token, bool, shape (size,).
        continues: whether each id goes on with the word of the id before it, bool, shape (size,).
    """

    mask: int
    ordinary: NDArray[np.int64]
    special: NDArray[np.bool_]
    continues: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """One more than the highest id."""
        return len(self.special)

    @classmethod
    def of(cls, tokenizer: Tokenizer, where: str = "encoder.tokenizer") -> "Vocabulary":
        """The vocabulary of a tokenizer.

        Pieces of a word are known by ``##`` in WordPiece, and by the lack of a mark of a word's
        start in byte-level BPE (``Ġ``) and in SentencePiece (``▁``).

        Args:
            where: the config field that the tokenizer comes from, for the error.

        Raises:
            UserError: the tokenizer has no mask token.
        """
        ids = tokenizer.get_vocab()
        masks = [ids[name] for name in MASKS if name in ids]
        if not masks:
            raise UserError(where, "no mask token", f"a tokenizer with {' or '.join(MASKS)}")
        special = np.zeros(max(ids.values()) + 1, dtype=bool)
        added = tokenizer.get_added_tokens_decoder().items()
        special[[number for number, token in added if token.special]] = True
        special[[ids[name] for name in _SPECIAL if name in ids]] = True
        continues = np.zeros_like(special)
        continues[_continuing(tokenizer, ids)] = True
        ordinary = np.array(sorted(n for n in ids.values() if not special[n]), dtype=np.int64)
        return cls(masks[0], ordinary, special, continues & ~special)


def _continuing(tokenizer: Tokenizer, ids: dict[str, int]) -> list[int]:
    """Ids of the pieces that go on with a word."""
    if isinstance(tokenizer.model, WordPiece):
        prefix = tokenizer.model.continuing_subword_prefix
        return [number for piece, number in ids.items() if piece.startswith(prefix)]
    if not any(piece.startswith(_WORD_MARKS) for piece in ids):
        return []  # whole words, or pieces that do not say where a word starts
    return [number for piece, number in ids.items() if not piece.startswith(_WORD_MARKS)]


@dataclass(frozen=True, eq=False)
class MaskedText:
    """Token ids after masking.

    Attributes:
        tokens: what the model reads, int64, shape (N,).
        picked: places of the tokens that it has to predict, ascending, int64, shape (P,).
        labels: ids that stood there, int64, shape (P,).
    """

    tokens: NDArray[np.int64]
    picked: NDArray[np.int64]
    labels: NDArray[np.int64]


def mask_tokens(
    tokens: NDArray[np.int64],
    lengths: tuple[int, ...],
    vocabulary: Vocabulary,
    rate: float,
    whole_word: bool,
    random: np.random.Generator,
) -> MaskedText:
    """Chooses tokens and hides them as BERT does (Devlin et al. 2019, section 3.1).

    Of the chosen tokens 80% become the mask token, 10% any ordinary token, and 10% stay. Special
    tokens are never chosen. The number of chosen tokens is counted over the whole batch instead of
    in each sequence, since of a short sequence 15% is less than one token; it is at least 1 where
    any token is ordinary.

    Args:
        tokens: ids of packed sequences, shape (N,).
        lengths: tokens of each sequence; they add up to N.
        rate: share of the ordinary tokens that are chosen, 0 to 1.
        whole_word: choose all pieces of a word together; a word that would exceed the rate is
            passed over, as in BERT's whole-word masking. The pieces are hidden one by one.
    """
    starts = np.ones(len(tokens), dtype=bool)
    if whole_word:
        starts = _word_starts(tokens, lengths, vocabulary)
    picked = _pick(starts, vocabulary.special[tokens], rate, random)
    draws, hidden = random.random(len(picked)), tokens.copy()
    hidden[picked[draws < _HIDDEN]] = vocabulary.mask
    replaced = picked[(draws >= _HIDDEN) & (draws < _HIDDEN + _REPLACED)]
    hidden[replaced] = random.choice(vocabulary.ordinary, len(replaced))
    return MaskedText(hidden, picked, tokens[picked])


def _word_starts(
    tokens: NDArray[np.int64], lengths: tuple[int, ...], vocabulary: Vocabulary
) -> NDArray[np.bool_]:
    """Whether each token starts a word; a special token is a word, and so ends the one before."""
    starts = ~vocabulary.continues[tokens]
    starts[np.cumsum((0, *lengths[:-1]))] = True
    starts[1:] |= vocabulary.special[tokens[:-1]]
    return starts


def _pick(
    starts: NDArray[np.bool_],
    special: NDArray[np.bool_],
    rate: float,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Places of the tokens of randomly chosen words."""
    word, begins = starts.cumsum() - 1, np.flatnonzero(starts)
    candidates = np.flatnonzero(~special[begins])
    if not len(candidates):
        return candidates
    order = random.permutation(candidates)
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
    """An endless sequence of masked batches of one task, addressed by number.

    The texts are shuffled and grouped by length as :class:`TrainingBatches` does it. Batch ``k``
    depends on the seed, the task's name and ``k`` alone, and every epoch hides other tokens.
    Labels are the hidden ids, shape (P,).

    Args:
        data: the task's examples; their labels are not read.
        batch_size: examples in a batch.
        second: whether second texts of pairs that are encoded separately are read, too.
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
    _texts: TrainingBatches = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # States of frozen layers are those of the text as it was before masking, and a hidden
        # word's tags would tell of it.
        first = replace(self.data.first, states=None, tags=None)
        second = self.data.second if self.second else None
        second = None if second is None else replace(second, states=None, tags=None)
        texts = EncodedTask(first, second, self.data.labels, self.data.whole)
        self._texts = TrainingBatches(self.task, texts, self.batch_size, self.seed)

    def __len__(self) -> int:
        """Batches of one epoch; the last may be smaller."""
        return len(self._texts)

    def __getitem__(self, number: int) -> LabelledBatch:
        text = self._texts[number].text
        random = np.random.default_rng([self.seed, crc32(f"mask/{self.task}".encode()), number])
        how = self.vocabulary, self.rate, self.whole_word, random
        masked = mask_tokens(text.tokens.numpy(), text.lengths, *how)
        tokens, picked = torch.from_numpy(masked.tokens), torch.from_numpy(masked.picked)
        return LabelledBatch(
            replace(text, tokens=tokens, picked=picked), torch.from_numpy(masked.labels)
        )
