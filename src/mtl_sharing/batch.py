"""Batches of packed text, as the data makes them and the model reads them.

Shapes are written with these letters everywhere in the project:
``N`` real tokens of a batch, ``R`` rows (tokens, then filling), ``B`` sequences, ``E`` examples
(``B`` for single texts and joined pairs, ``B / 2`` for pairs encoded separately), ``P`` tokens to
predict, ``H`` the hidden width, ``L`` encoder layers.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Ladder:
    """The sizes that batches come in, so that matrix products meet few shapes.

    A library that compiles a kernel for each new shape (oneDNN in bf16) spends much of a step on
    it where packed batches have another number of rows every time.

    Attributes:
        rows: the number of rows of a batch is a multiple of it. So the sums of several batches,
            which shared stages meet, are on the ladder too.
    """

    rows: int

    @classmethod
    def fitting(cls, rows: float) -> "Ladder":
        """The ladder whose rungs are the largest power of two up to ``rows``, and 8 at least."""
        return cls(max(8, 1 << int(max(1.0, rows)).bit_length() - 1))

    def rung(self, count: int) -> int:
        """The smallest size for ``count`` rows."""
        return -(-count // self.rows) * self.rows


@dataclass(frozen=True)
class BatchSize:
    """The sizes of a batch that decide the shapes of its products.

    Attributes:
        rows: R.
        sequences: B.
        longest: tokens of the longest sequence.
    """

    rows: int
    sequences: int
    longest: int


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Sequences laid end to end without padding.

    Tasks that receive the *same object* read the same text: stages that they share run over it
    once.

    A batch may be filled: rows that belong to no sequence follow the tokens. Nothing reads them, so
    losses and gradients stay as they are, and R = N without them.

    Attributes:
        tokens: token ids, int64, shape (R,).
        token_types: 0 for the first text of a joined pair, 1 for the second, int64, shape (R,).
        lengths: tokens of each sequence; they add up to N.
        states: precomputed output of the frozen lower layers for every token, shape (R, H). If no
            other layer follows, one vector for each sequence, pooled as the task's head reads it,
            shape (B, H).
        noise: added to the embedding of every token, shape (R, H).
        picked: positions of the tokens to predict, int64, shape (P,).
        tags: part of speech and entity type of each token's word, 0 for none, int64, shape (R, 2).
        steady: whether the sizes that follow from the batch should be few, too.
    """

    tokens: Tensor
    token_types: Tensor
    lengths: tuple[int, ...]
    states: Tensor | None = None
    noise: Tensor | None = None
    picked: Tensor | None = None
    tags: Tensor | None = None
    steady: bool = False

    @property
    def sequences(self) -> int:
        """Number of sequences, B."""
        return len(self.lengths)

    def filled(self, ladder: Ladder | None) -> "PackedBatch":
        """The batch with the smallest number of rows on a ladder; None leaves it as it is."""
        if ladder is None:
            return self
        missing = ladder.rung(len(self.tokens)) - len(self.tokens)
        longer: dict[str, Any] = {
            name: _fill(value, missing)
            for name in ("tokens", "token_types", "states", "noise", "tags")
            if (value := getattr(self, name)) is not None and len(value) == len(self.tokens)
        }
        return replace(self, steady=True, **longer)

    def to(self, device: torch.device) -> "PackedBatch":
        """The same batch with its tensors on ``device``."""
        moved: dict[str, Any] = {
            name: _moved(value, device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True, eq=False)
class LabelledBatch:
    """One task's examples: packed text with its labels, float32 or int64, shape (E,).

    If the text has ``picked`` tokens, the labels are their original ids, shape (P,).

    Attributes:
        teacher: raw outputs of the model that the task learns from, float32, shape (E, K).
    """

    text: PackedBatch
    labels: Tensor
    teacher: Tensor | None = None

    @property
    def examples(self) -> int:
        """Number of examples, E; with labels of single tokens the number of texts."""
        return len(self.labels) if self.text.picked is None else self.text.sequences

    def filled(self, ladder: Ladder | None) -> "LabelledBatch":
        """The batch with its text filled; see :meth:`PackedBatch.filled`."""
        return replace(self, text=self.text.filled(ladder))

    def to(self, device: torch.device) -> "LabelledBatch":
        """The same batch with its tensors on ``device``."""
        teacher = None if self.teacher is None else _moved(self.teacher, device)
        return LabelledBatch(self.text.to(device), _moved(self.labels, device), teacher)


def _fill(values: Tensor, missing: int) -> Tensor:
    """The values with rows of zeros after them."""
    return F.pad(values, (*(0, 0) * (values.dim() - 1), 0, missing))


def _moved(values: Tensor, device: torch.device) -> Tensor:
    """The values on ``device``, without waiting for the work that a GPU has yet to do."""
    # A copy from pageable memory waits in spite of non_blocking.
    pin = device.type == "cuda" and values.device.type == "cpu"
    return (values.pin_memory() if pin else values).to(device, non_blocking=True)
