"""Batches of packed text, as the data makes them and the model reads them.

Shapes are written with these letters everywhere in the project:
``N`` real tokens of a batch, ``B`` sequences, ``E`` examples (``B`` for single texts and joined
pairs, ``B / 2`` for pairs encoded separately), ``P`` tokens to predict, ``H`` the
hidden width, ``L`` encoder layers.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Sequences laid end to end without padding.

    Tasks that receive the *same object* read the same text: stages that they share run over it
    once.

    Attributes:
        tokens: token ids, int64, shape (N,).
        token_types: 0 for the first text of a joined pair, 1 for the second, int64, shape (N,).
        lengths: tokens of each sequence; they add up to N.
        states: precomputed output of the frozen lower layers for every token, shape (N, H). If no
            other layer follows, one vector for each sequence, pooled as the task's head reads it,
            shape (B, H).
        noise: added to the embedding of every token, shape (N, H).
        picked: positions of the tokens to predict, int64, shape (P,).
        tags: part of speech and entity type of each token's word, 0 for none, int64, shape (N, 2).
    """

    tokens: Tensor
    token_types: Tensor
    lengths: tuple[int, ...]
    states: Tensor | None = None
    noise: Tensor | None = None
    picked: Tensor | None = None
    tags: Tensor | None = None

    @property
    def sequences(self) -> int:
        """Number of sequences, B."""
        return len(self.lengths)

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
    """

    text: PackedBatch
    labels: Tensor

    @property
    def examples(self) -> int:
        """Number of examples, E; with labels of single tokens the number of texts."""
        return len(self.labels) if self.text.picked is None else self.text.sequences

    def to(self, device: torch.device) -> "LabelledBatch":
        """The same batch with its tensors on ``device``."""
        return LabelledBatch(self.text.to(device), _moved(self.labels, device))


def _moved(values: Tensor, device: torch.device) -> Tensor:
    """The values on ``device``, without waiting for the work that a GPU has yet to do."""
    # A copy from pageable memory waits in spite of non_blocking.
    pin = device.type == "cuda" and values.device.type == "cpu"
    return (values.pin_memory() if pin else values).to(device, non_blocking=True)
