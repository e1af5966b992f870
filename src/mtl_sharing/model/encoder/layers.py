"""The stages of a post-layer-norm encoder tower, on packed rows.

Every stage takes the rows of the tasks that share it and the layouts of their sequences.

One set of modules serves BERT (Devlin et al. 2019), RoBERTa (Liu et al. 2019), ELECTRA (Clark et
al. 2020) and DistilBERT (Sanh et al. 2019). They differ in their embeddings and in names only.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl_sharing.model.encoder.attention import (
    SequenceLayout,
    first_rows,
    first_token_attention,
    packed_attention,
)
from mtl_sharing.model.encoder.dropout import Dropout, add_dropout, recomputed
from mtl_sharing.model.encoder.shape import EncoderShape

# By the names that a config may use.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
    "identity": lambda x: x,
}
# Autograd saves the input of these for their gradient, and the output of the others.
SAVES_INPUT = frozenset({"gelu", "gelu_new", "gelu_pytorch_tanh", "silu", "swish"})


def make_stage(name: str, shape: EncoderShape) -> nn.Module:
    """Makes the stage ``embeddings``, ``layer.<i>`` or ``pooler``, untrained."""
    kinds: dict[str, type[nn.Module]] = {"embeddings": Embeddings, "pooler": Pooler}
    return kinds.get(name, EncoderLayer)(shape)


def tower_stages(shape: EncoderShape) -> list[str]:
    """Names of the stages of one tower, bottom to top."""
    layers = [f"layer.{depth}" for depth in range(shape.layers)]
    return ["embeddings", *layers, *(["pooler"] if shape.pooler else [])]


class _Table(nn.Embedding):
    """An embedding that draws no random weights, since a tower's state sets them.

    Drawing them on the meta device would import torch's compiler (1.5 s, 70 MB).
    """

    def reset_parameters(self) -> None:
        pass


class Embeddings(nn.Module):
    """Sum of token, position and token-type embeddings, normalised.

    Where the shape has tags, the embeddings of each token's tags are part of the sum. Where the
    embeddings are narrower than the hidden states, a projection follows.
    """

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.word = _Table(shape.vocabulary, shape.embedding)
        self.position = _Table(shape.positions, shape.embedding)
        types, pos, entities = shape.token_types, shape.pos_tags, shape.entity_types
        self.token_type = _Table(types, shape.embedding) if types else None
        self.pos_tag = _Table(pos, shape.embedding) if pos else None
        self.entity_type = _Table(entities, shape.embedding) if entities else None
        self.norm = nn.LayerNorm(shape.embedding, shape.epsilon)
        self.dropout = Dropout(shape.dropout)
        narrow = shape.embedding != shape.hidden
        self.projection = nn.Linear(shape.embedding, shape.hidden) if narrow else None
        self.offset = shape.position_offset

    def forward(self, ids: Tensor, layouts: Sequence[SequenceLayout]) -> Tensor:
        """Maps token ids and token types side by side, (N, 2), to rows (N, H).

        Where the shape has tags, part of speech and entity type follow them, (N, 4).
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
        self.saves_input = shape.activation in SAVES_INPUT
        self.heads, self.attention_dropout = shape.heads, shape.attention_dropout

    def forward(
        self,
        rows: Tensor,
        layouts: Sequence[SequenceLayout],
        added: Tensor | None = None,
        first_only: bool = False,
    ) -> Tensor:
        """Maps rows (N, H) of the sequences in ``layouts`` to rows (N, H).

        Args:
            added: output of an adapter, (N, H), added before the second layer norm.
            first_only: returns the rows (B, H) of first tokens alone and computes no others.
        """
        dropout = self.attention_dropout if self.training else 0.0
        if first_only:
            # Keys and values need every token, queries and all that follows only the first ones.
            first, width = first_rows(rows, layouts), self.attention_output.in_features
            sizes = [width, 2 * width]
            weights, biases = self.qkv.weight.split(sizes), self.qkv.bias.split(sizes)
            query = F.linear(first, weights[0], biases[0])
            key_value = F.linear(rows, weights[1], biases[1])
            attended = first_token_attention(query, key_value, layouts, self.heads, dropout)
            rows, added = first, None if added is None else first_rows(added, layouts)
        else:
            attended = packed_attention(self.qkv(rows), layouts, self.heads, dropout)
        sums = add_dropout(rows, self.attention_output(attended), self.dropout.rate)
        rows = self.attention_norm(sums)
        sums = add_dropout(rows, self.feed_forward(rows), self.dropout.rate)
        return self.output_norm(sums if added is None else sums + added)

    def feed_forward(self, rows: Tensor) -> Tensor:
        """The feed-forward network alone: rows (N, H) to rows (N, H)."""
        inner = self.up(rows)
        active = self.activation(inner)
        if not self.saves_input:
            return cast(Tensor, self.down(active))
        # The activation saves its input, the layer's largest state, so ``down`` need not save the
        # output, too: it is recomputed.
        with recomputed(active, lambda: self.activation(inner)):
            return cast(Tensor, self.down(active))


class Pooler(nn.Module):
    """BERT's pooler: a dense layer with tanh over the first token's state."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.hidden, shape.hidden)

    def forward(self, first: Tensor, layouts: Sequence[SequenceLayout]) -> Tensor:
        """Maps states of first tokens (B, H) to pooled vectors (B, H)."""
        return torch.tanh(self.dense(first))
