"""A network with the outputs of pretraining: scores of masked tokens, or embeddings of pairs."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl_sharing.batch import PackedBatch
from mtl_sharing.model.encoder.checkpoint import PARTS, check_weights, read_weights, standard_names
from mtl_sharing.model.encoder.initialization import DEVIATION, random_source
from mtl_sharing.model.encoder.layers import ACTIVATIONS, Embeddings
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.network import Network, PhaseNetwork
from mtl_sharing.model.routing import mean_tokens, values_by_task

_NAME = "mlm_head"
_PICKED = 32
# Names of the dense layer, the layer norm, the module of the output bias, and the decoder. Some
# files have the bias in the decoder instead.
_NAMES = {
    "bert": ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
             "cls.predictions", "cls.predictions.decoder"),
    "roberta": ("lm_head.dense", "lm_head.layer_norm", "lm_head", "lm_head.decoder"),
    # A generator's; a discriminator has none.
    "electra": ("generator_predictions.dense", "generator_predictions.LayerNorm",
                "generator_lm_head", "generator_lm_head"),
    "distilbert": ("vocab_transform", "vocab_layer_norm", "vocab_projector", "vocab_projector"),
}  # fmt: skip
# The heads of these families use gelu with any activation of the layers.
_GELU_FAMILIES = ("roberta", "electra")


class MaskedLanguageHead(nn.Module):
    """Dense layer, activation, layer norm and a decoder with the encoder's word embedding."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.hidden, shape.embedding)
        self.norm = nn.LayerNorm(shape.embedding, shape.epsilon)
        self.bias = nn.Parameter(torch.zeros(shape.vocabulary))
        name = "gelu" if shape.family in _GELU_FAMILIES else shape.activation
        self.activation = ACTIVATIONS[name]

    def forward(self, states: Tensor, table: Tensor) -> Tensor:
        """Maps states (P, H) and a word embedding (vocabulary, embedding) to logits."""
        return F.linear(self.norm(self.activation(self.dense(states))), table, self.bias)


class MaskedLanguageModel(PhaseNetwork):
    """A network's encoder with a masked-LM head (Devlin et al. 2019, section 3.1).

    Each component of the network has a head of its own, so that separate models stay separate.
    The decoder is tied: a task's tokens are decoded with the word embedding of its own copy.

    Args:
        network: its encoder is read at the layer that the task's head reads.
        head: starting weights from :func:`load_mlm_head`; None draws them.
        seed: seed of the drawn weights.
    """

    def __init__(self, network: Network, head: Mapping[str, Tensor] | None, seed: int = 0) -> None:
        super().__init__(network)
        shape = network.architecture.encoder
        self.components = network.architecture.components()
        with torch.device("meta"):
            self.heads = nn.ModuleList(MaskedLanguageHead(shape) for _ in self.components)
        state = random_mlm_head(shape, seed) if head is None else head
        for own in self.heads:
            # Cloned, since training must not change the caller's weights.
            own.load_state_dict({name: value.clone() for name, value in state.items()}, assign=True)
        self.heads.requires_grad_(True)

    def forward(self, texts: Mapping[str, PackedBatch]) -> dict[str, Tensor]:
        """Logits (P, vocabulary) of each task's ``picked`` tokens, in float32.

        Raises:
            ValueError: a text without ``picked`` tokens.
        """
        states = self.network.encoder.hidden(texts)
        return {task: self._logits(task, text, states[task]) for task, text in texts.items()}

    def owners(self) -> dict[str, tuple[str, ...]]:
        """The tasks that use each weight, by its name; see :meth:`Network.owners`."""
        heads = enumerate(zip(self.heads, self.components, strict=True))
        return super().owners() | {
            f"heads.{number}.{name}": tasks
            for number, (head, tasks) in heads
            for name in head.state_dict()
        }

    def tables(self) -> list[nn.Parameter]:
        """The word embeddings, whose gradients are dense, since the decoder scores every row."""
        return [_table(copy) for copy in self.network.encoder.embeddings.copies]

    def _logits(self, task: str, text: PackedBatch, states: Tensor) -> Tensor:
        if text.picked is None:
            raise ValueError(f"a text of {task} without picked tokens")
        table = _table(self.network.encoder.embeddings.copy_of(task))
        (head,) = [h for h, t in zip(self.heads, self.components, strict=True) if task in t]
        # As rows, predicted tokens come in few numbers where products should meet few shapes.
        count, filling = len(text.picked), -len(text.picked) % _PICKED if text.steady else 0
        logits = head(states[F.pad(text.picked, (0, filling))], table)
        return cast(Tensor, logits)[:count].float()


class PairEmbeddings(PhaseNetwork):
    """A network that gives one vector for each text of a pair: the mean over the text's tokens.

    Its encoder is read at the layer that the task's head reads.
    """

    def forward(self, texts: Mapping[str, PackedBatch]) -> dict[str, Tensor]:
        """The embeddings of each task's pairs side by side, (E, 2 H), in float32.

        Args:
            texts: for each pair task all first texts, then all second ones.
        """
        pooled = values_by_task(mean_tokens(self.network.encoder(texts)), texts)
        return {task: torch.cat(v.chunk(2), dim=1).float() for task, v in pooled.items()}


def _table(embeddings: nn.Module) -> nn.Parameter:
    return cast(nn.Parameter, cast(Embeddings, embeddings).word.weight)


def random_mlm_head(shape: EncoderShape, seed: int) -> dict[str, Tensor]:
    """Starting weights, drawn like those of the encoder."""
    source = random_source(seed, _NAME)
    weight = torch.empty(shape.embedding, shape.hidden).normal_(0.0, DEVIATION, generator=source)
    return {
        "dense.weight": weight,
        "dense.bias": torch.zeros(shape.embedding),
        "norm.weight": torch.ones(shape.embedding),
        "norm.bias": torch.zeros(shape.embedding),
        "bias": torch.zeros(shape.vocabulary),
    }


def load_mlm_head(path: Path, shape: EncoderShape) -> dict[str, Tensor] | None:
    """The masked-LM head in a weight file; None without a head whose decoder is tied.

    Raises:
        UserError: a damaged file, or a head with weights that are missing or of another size.
    """
    theirs = standard_names(read_weights(path), shape.family)
    decoder_name = _NAMES[shape.family][3]
    sources = _parameters(shape.family)
    if sources["bias"] not in theirs:
        sources["bias"] = f"{decoder_name}.bias"
    state = {ours: theirs[name].float() for ours, name in sources.items() if name in theirs}
    table = theirs.get("embeddings.word_embeddings.weight")
    decoder = theirs.get(f"{decoder_name}.weight", table)
    untied = table is not None and decoder is not None and not torch.equal(table, decoder)
    if not state or untied:
        return None
    with torch.device("meta"):
        expected = MaskedLanguageHead(shape).state_dict()
    source = f"a {shape.family} checkpoint with a complete head"
    check_weights(_NAME, state, expected, path, source)
    return state


def checkpoint_head(head: MaskedLanguageHead, family: str) -> dict[str, Tensor]:
    """The head's weights by their names in ``transformers``; inverse of :func:`load_mlm_head`."""
    state = head.state_dict()
    return {theirs: state[ours] for ours, theirs in _parameters(family).items()}


def _parameters(family: str) -> dict[str, str]:
    """The head's parameters with their names in ``transformers``."""
    dense, norm, bias, _ = _NAMES[family]
    modules = {"dense": dense, "norm": norm}
    names = {f"{ours}.{part}": f"{name}.{part}" for ours, name in modules.items() for part in PARTS}
    return names | {"bias": f"{bias}.bias"}
