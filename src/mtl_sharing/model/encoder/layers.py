"""The stages of one post-layer-norm encoder tower, on packed rows.

Every stage is called with the rows of the tasks that share it and the layouts of their sequences.

One set of modules serves BERT (Devlin et al. 2019), RoBERTa (Liu et al. 2019), ELECTRA (Clark et
al. 2020) and DistilBERT (Sanh et al. 2019): they differ in their tables and in their names only.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl_sharing.model.encoder.activations import ACTIVATIONS, KEEP_INPUT
from mtl_sharing.model.encoder.attention import (
    SequenceLayout,
    first_token_attention,
    first_tokens,
    packed_attention,
)
from mtl_sharing.model.encoder.dropout import Dropout, add_dropout
from mtl_sharing.model.encoder.recomputing import recomputed
from mtl_sharing.model.encoder.shape import EncoderShape


class _Table(nn.Embedding):
    """A table whose numbers are set by a tower's state, so that none are drawn here.

    Drawing them on the meta device would import torch's compiler (1.5 s, 70 MB).
    """

    def reset_parameters(self) -> None:
        pass


class Embeddings(nn.Module):
    """Token, position and token-type embeddings, summed, normalised, projected where narrower.

    Where the shape has tags, those of each token's word are part of the sum.
    """

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.word = _Table(shape.vocabulary, shape.embedding)
        self.position = _Table(shape.positions, shape.embedding)
        kinds = shape.token_types
        self.token_type = _Table(kinds, shape.embedding) if kinds else None
        pos, entities = shape.pos_tags, shape.entity_types
        self.pos_tag = _Table(pos, shape.embedding) if pos else None
        self.entity_type = _Table(entities, shape.embedding) if entities else None
        self.norm = nn.LayerNorm(shape.embedding, shape.epsilon)
        self.dropout = Dropout(shape.dropout)
        narrow = shape.embedding != shape.hidden
        self.projection = nn.Linear(shape.embedding, shape.hidden) if narrow else None
        self.offset = shape.position_offset

    def forward(self, ids: Tensor, layouts: Sequence[SequenceLayout]) -> Tensor:
        """Token ids and token types side by side, (N, 2), to rows (N, H).

        Where the shape has tags, part of speech and entity type stand beside them, (N, 4).
        """
        positions = torch.cat([layout.positions() for layout in layouts])
        rows = self.word(ids[:, 0]) + self.position(positions + self.offset)
        if self.token_type is not None:
            # RoBERTa has one type for both texts of a pair.
            last = self.token_type.num_embeddings - 1
            rows = rows + self.token_type(ids[:, 1].clamp(max=last))
        if self.pos_tag is not None:
            rows = rows + self.pos_tag(ids[:, 2])
        if self.entity_type is not None:
            rows = rows + self.entity_type(ids[:, 3])
        rows = self.dropout(self.norm(rows))
        return rows if self.projection is None else self.projection(rows)


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward network, each followed by its layer norm."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        hidden = shape.hidden
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.attention_output = nn.Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden, shape.epsilon)
        self.up = nn.Linear(hidden, shape.intermediate)
        self.down = nn.Linear(shape.intermediate, hidden)
        self.output_norm = nn.LayerNorm(hidden, shape.epsilon)
        self.dropout = Dropout(shape.dropout)
        self.activation = ACTIVATIONS[shape.activation]
        self.keeps_input = shape.activation in KEEP_INPUT
        self.heads, self.attention_dropout = shape.heads, shape.attention_dropout

    def forward(
        self,
        rows: Tensor,
        layouts: Sequence[SequenceLayout],
        added: Tensor | None = None,
        first_only: bool = False,
    ) -> Tensor:
        """Rows (N, H) of the sequences that ``layouts`` describes, to rows (N, H).

        Args:
            added: (N, H), goes inside the second layer norm.
            first_only: gives the rows (B, H) of first tokens alone, and computes no others: they
                need every token's key and value, but nobody reads what the others would become.
        """
        if first_only:
            first = first_tokens(rows, layouts)
            attended = self._first_attended(first, rows, layouts)
            rows = first
            added = None if added is None else first_tokens(added, layouts)
        else:
            attended = packed_attention(self.qkv(rows), layouts, self.heads, self._drops())
        sums = add_dropout(rows, self.attention_output(attended), self.dropout.rate)
        rows = self.attention_norm(sums)
        sums = add_dropout(rows, self._fed_forward(rows), self.dropout.rate)
        return self.output_norm(sums if added is None else sums + added)

    def _fed_forward(self, rows: Tensor) -> Tensor:
        inner = self.up(rows)
        active = self.activation(inner)
        if not self.keeps_input:
            return cast(Tensor, self.down(active))
        # Its input is kept for its own gradient: the largest state of the layer, once is enough.
        with recomputed(active, lambda: self.activation(inner)):
            return cast(Tensor, self.down(active))

    def _first_attended(
        self, first: Tensor, rows: Tensor, layouts: Sequence[SequenceLayout]
    ) -> Tensor:
        sizes = [self.attention_output.in_features, 2 * self.attention_output.in_features]
        weights, biases = self.qkv.weight.split(sizes), self.qkv.bias.split(sizes)
        query = F.linear(first, weights[0], biases[0])
        key_value = F.linear(rows, weights[1], biases[1])
        return first_token_attention(query, key_value, layouts, self.heads, self._drops())

    def _drops(self) -> float:
        return self.attention_dropout if self.training else 0.0


class Pooler(nn.Module):
    """BERT's pooler: a dense layer with tanh over the first token's state."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.hidden, shape.hidden)

    def forward(self, first: Tensor, layouts: Sequence[SequenceLayout]) -> Tensor:
        """States of first tokens (B, H) to pooled vectors (B, H)."""
        return torch.tanh(self.dense(first))


class VectorNorm(nn.LayerNorm):
    """Layer norm of pooled vectors, with BERT's epsilon."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-12)

    def forward(  # type: ignore[override]
        self, vectors: Tensor, layouts: Sequence[SequenceLayout]
    ) -> Tensor:
        """Vectors (B, H) to vectors (B, H)."""
        return super().forward(vectors)


def make_stage(name: str, shape: EncoderShape) -> nn.Module:
    """An untrained copy of the stage ``embeddings``, ``layer.<i>`` or ``pooler``."""
    kinds: dict[str, type[nn.Module]] = {"embeddings": Embeddings, "pooler": Pooler}
    return kinds.get(name, EncoderLayer)(shape)


def tower_stages(shape: EncoderShape) -> list[str]:
    """Names of the stages of one tower, bottom to top."""
    layers = [f"layer.{depth}" for depth in range(shape.layers)]
    return ["embeddings", *layers, *(["pooler"] if shape.pooler else [])]
