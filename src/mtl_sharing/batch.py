"""The vocabulary that the data and the model share: one batch of packed text.

Shapes are written with these letters everywhere in the project:
``N`` real tokens of a batch, ``B`` sequences, ``E`` examples (``B`` for single texts and joined
pairs, ``B / 2`` for pairs encoded separately), ``P`` tokens that are to be predicted, ``H`` the
hidden width, ``L`` encoder layers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Sequences laid end to end without padding.

    Two tasks that are given the *same object* read the same text, and every stage they share
    runs over it once.

    Attributes:
        tokens: token ids, int64, shape (N,).
        token_types: 0 for the first text of a joined pair, 1 for the second, int64, shape (N,).
        lengths: tokens of each sequence; they add up to N.
        states: what the frozen lower layers make of the text, where that is known already: of
            every token, shape (N, H), or, if no layer follows them, one vector for each sequence
            as the task's head reads it, shape (B, H).
        noise: what is added to the embedding of every token, shape (N, H).
        picked: the tokens that are to be predicted, by their place in the batch, int64, shape (P,).
        tags: part of speech and entity type of the word that each token is of, 0 for none, int64,
            shape (N, 2).
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
        tokens = self.tokens.to(device, non_blocking=True)
        types = self.token_types.to(device, non_blocking=True)
        states = None if self.states is None else self.states.to(device, non_blocking=True)
        noise = None if self.noise is None else self.noise.to(device, non_blocking=True)
        picked = None if self.picked is None else self.picked.to(device, non_blocking=True)
        tags = None if self.tags is None else self.tags.to(device, non_blocking=True)
        return PackedBatch(tokens, types, self.lengths, states, noise, picked, tags)


@dataclass(frozen=True, eq=False)
class LabelledBatch:
    """One task's examples: packed text with its labels, float32 or int64, shape (E,).

    Where the text has ``picked`` tokens, the labels are the ids that stood there, shape (P,).
    """

    text: PackedBatch
    labels: Tensor

    @property
    def examples(self) -> int:
        """Number of examples, E; of texts, where labels are those of single tokens."""
        return len(self.labels) if self.text.picked is None else self.text.sequences

    def to(self, device: torch.device) -> "LabelledBatch":
        """The same batch with its tensors on ``device``."""
        return LabelledBatch(self.text.to(device), self.labels.to(device, non_blocking=True))
