"""Predicts hidden tokens from an encoder's states (Devlin et al. 2019, section 3.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl_sharing.batch import PackedBatch
from mtl_sharing.model.encoder.activations import ACTIVATIONS
from mtl_sharing.model.encoder.checkpoint import check_weights, read_weights, standard_names
from mtl_sharing.model.encoder.initialization import random_source
from mtl_sharing.model.encoder.layers import Embeddings
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.network import Network
from mtl_sharing.model.routing import StageCopies

HeadState = dict[str, Tensor]
_NAME = "mlm_head"


@dataclass(frozen=True)
class _Names:
    """A family's names: modules, the output bias (several where files differ), the decoder."""

    dense: str
    norm: str
    bias: tuple[str, ...]
    decoder: str


_BERT, _ROBERTA = "cls.predictions", "lm_head"
_FAMILIES = {
    "bert": _Names(
        f"{_BERT}.transform.dense",
        f"{_BERT}.transform.LayerNorm",
        (f"{_BERT}.bias", f"{_BERT}.decoder.bias"),
        f"{_BERT}.decoder.weight",
    ),
    "roberta": _Names(
        f"{_ROBERTA}.dense",
        f"{_ROBERTA}.layer_norm",
        (f"{_ROBERTA}.bias", f"{_ROBERTA}.decoder.bias"),
        f"{_ROBERTA}.decoder.weight",
    ),
    "electra": _Names(  # of a generator; a discriminator has none
        "generator_predictions.dense",
        "generator_predictions.LayerNorm",
        ("generator_lm_head.bias",),
        "generator_lm_head.weight",
    ),
    "distilbert": _Names(
        "vocab_transform",
        "vocab_layer_norm",
        ("vocab_projector.bias",),
        "vocab_projector.weight",
    ),
}
# These use gelu here, whatever activation their layers have.
_ALWAYS_GELU = ("roberta", "electra")


class MaskedLanguageHead(nn.Module):
    """States of hidden tokens to logits: dense, activation, layer norm, a given word table, bias.

    Args:
        shape: of the encoder.
    """

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.hidden, shape.embedding)
        self.norm = nn.LayerNorm(shape.embedding, shape.epsilon)
        self.bias = nn.Parameter(torch.zeros(shape.vocabulary))
        name = "gelu" if shape.family in _ALWAYS_GELU else shape.activation
        self.activation = ACTIVATIONS[name]

    def forward(self, states: Tensor, table: Tensor) -> Tensor:
        """States (P, H) and a word table (V, E) to logits (P, V)."""
        return F.linear(self.norm(self.activation(self.dense(states))), table, self.bias)


class MaskedLanguageModel(nn.Module):
    """A network's encoder with a masked-LM head, which all tasks share.

    The decoder is tied: a task's hidden tokens are decoded with the word table of that task's own
    copy of the embeddings.

    Args:
        network: its encoder is read at the layer that the task's head reads.
        head: starting weights, as :func:`load_mlm_head` gives them; None draws them.
        seed: of the draw.
    """

    def __init__(self, network: Network, head: Mapping[str, Tensor] | None, seed: int = 0) -> None:
        super().__init__()
        self.network = network
        shape = network.architecture.encoder
        with torch.device("meta"):
            self.head = MaskedLanguageHead(shape)
        state = random_mlm_head(shape, seed) if head is None else head
        # A copy: the weights that were handed in stay as they are.
        own = {name: value.clone() for name, value in state.items()}
        self.head.load_state_dict(own, assign=True)
        self.head.requires_grad_(True)

    def forward(self, texts: Mapping[str, PackedBatch]) -> dict[str, Tensor]:
        """Logits (P, V) of each task's ``picked`` tokens, in float32.

        Raises:
            ValueError: a text without ``picked`` tokens.
        """
        states = self.network.encoder.hidden(texts)
        return {task: self._logits(task, text, states[task]) for task, text in texts.items()}

    def tables(self) -> list[nn.Parameter]:
        """The word tables that decode. Their gradients are dense, since every row is scored."""
        return [_table(copy) for copy in self.network.encoder.embeddings.copies]

    def _logits(self, task: str, text: PackedBatch, states: Tensor) -> Tensor:
        if text.picked is None:
            raise ValueError(f"a text of {task} without picked tokens")
        table = _table(_copy_of(self.network.encoder.embeddings, task))
        return cast(Tensor, self.head(states[text.picked], table)).float()


def _copy_of(stage: StageCopies, task: str) -> nn.Module:
    (number,) = [n for n, owners in enumerate(stage.owners) if task in owners]
    return stage.copies[number]


def _table(embeddings: nn.Module) -> nn.Parameter:
    return cast(nn.Parameter, cast(Embeddings, embeddings).word.weight)


def random_mlm_head(shape: EncoderShape, seed: int) -> HeadState:
    """Starting weights drawn as BERT's were: normal with deviation 0.02, biases 0, norm 1."""
    source = random_source(seed, _NAME)
    weight = torch.empty(shape.embedding, shape.hidden).normal_(0.0, 0.02, generator=source)
    return {
        "dense.weight": weight,
        "dense.bias": torch.zeros(shape.embedding),
        "norm.weight": torch.ones(shape.embedding),
        "norm.bias": torch.zeros(shape.embedding),
        "bias": torch.zeros(shape.vocabulary),
    }


def load_mlm_head(path: Path, shape: EncoderShape) -> HeadState | None:
    """The masked-LM head in a weight file; None where the file has none that fits a tied decoder.

    Raises:
        UserError: a damaged file, or a head with weights that are missing or of another size.
    """
    theirs, names = standard_names(read_weights(path), shape.family), _FAMILIES[shape.family]
    sources = {
        f"{ours}.{part}": (f"{module}.{part}",)
        for ours, module in (("dense", names.dense), ("norm", names.norm))
        for part in ("weight", "bias")
    } | {"bias": names.bias}
    found = {ours: [theirs[n] for n in known if n in theirs] for ours, known in sources.items()}
    state = {ours: tensors[0].float() for ours, tensors in found.items() if tensors}
    table = theirs.get("embeddings.word_embeddings.weight")
    decoder = theirs.get(names.decoder, table)
    untied = table is not None and decoder is not None and not torch.equal(table, decoder)
    if not state or untied:
        return None
    with torch.device("meta"):
        expected = MaskedLanguageHead(shape).state_dict()
    check_weights(_NAME, state, expected, path, f"a {shape.family} checkpoint with its whole head")
    return state


def plain_head(head: MaskedLanguageHead, family: str) -> dict[str, Tensor]:
    """The head's weights by the names that :func:`load_mlm_head` reads them from."""
    names, state = _FAMILIES[family], head.state_dict()
    modules = {"dense": names.dense, "norm": names.norm}
    found = {
        f"{theirs}.{part}": state[f"{ours}.{part}"]
        for ours, theirs in modules.items()
        for part in ("weight", "bias")
    }
    return found | {names.bias[0]: state["bias"]}
