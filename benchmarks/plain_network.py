"""A multi-task encoder in the usual style, with layers of ``transformers`` on padded batches."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertEmbeddings, BertLayer, BertPooler

from mtl_sharing.batch import PackedBatch
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.checkpoint import checkpoint_weights
from mtl_sharing.model.encoder.shape import EncoderShape, checkpoint_config
from mtl_sharing.model.network import Network
from mtl_sharing.model.routing import StageCopies

DEFAULT_ATTENTION = "sdpa"
"""The default of ``transformers``."""

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class PaddedText:
    """Sequences padded to the longest: ids, token types and attention mask, (B, longest)."""

    ids: Tensor
    types: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> "PaddedText":
        """The same text with its tensors on ``device``."""
        return PaddedText(self.ids.to(device), self.types.to(device), self.mask.to(device))


def pad(text: PackedBatch) -> PaddedText:
    """Packed sequences, padded with token 0."""
    lengths = list(text.lengths)
    ids = pad_sequence(list(text.tokens.split(lengths)), batch_first=True)
    types = pad_sequence(list(text.token_types.split(lengths)), batch_first=True)
    mask = (torch.arange(ids.shape[1]) < torch.tensor(lengths)[:, None]).long()
    return PaddedText(ids, types, mask)


class TaskModel(nn.Module):
    """One task's encoder and head. Shared stages are one module object in several task models."""

    def __init__(
        self,
        config: BertConfig,
        embeddings: nn.Module,
        layers: list[nn.Module],
        pooler: nn.Module,
        head: nn.Module,
    ) -> None:
        super().__init__()
        self.config, self.embeddings, self.layers = config, embeddings, nn.ModuleList(layers)
        self.pooler, self.head = pooler, head

    def forward(self, text: PaddedText, cache: dict[int, Tensor] | None = None) -> Tensor:
        """Raw outputs (B, K) in float32.

        Args:
            cache: output of each module, for other tasks on the same text. Only for models whose
                shared layers are the lowest.
        """
        state = _cached(cache, self.embeddings, lambda: self.embeddings(text.ids, text.types))
        mask = create_bidirectional_mask(self.config, state, text.mask)
        for layer in self.layers:
            state = _cached(cache, layer, partial(layer, state, mask))
        vectors = _cached(cache, self.pooler, lambda: self.pooler(state))
        output: Tensor = self.head(vectors)
        return output.float()


def _cached(cache: dict[int, Tensor] | None, stage: nn.Module, run: Callable[[], Tensor]) -> Tensor:
    if cache is None:
        return run()
    if id(stage) not in cache:
        cache[id(stage)] = run()
    return cache[id(stage)]


class PlainNetwork(nn.Module):
    """A model for each task, with the weights and the sharing of one of the project's networks.

    Args:
        network: its weights are copied.
        attention: which of the attention functions of ``transformers``.

    Raises:
        ValueError: a network without a plain counterpart.
    """

    def __init__(self, network: Network, attention: str = DEFAULT_ATTENTION) -> None:
        super().__init__()
        architecture = network.architecture
        _check(architecture)
        self.config = bert_config(architecture.encoder, attention)
        encoder, head = network.encoder, architecture.head
        stages = [encoder.embeddings, *encoder.layers, encoder.pooler]
        copies = [_copies(stage, self.config) for stage in stages]
        heads = [
            nn.Sequential(nn.Dropout(head.dropout), deepcopy(o)) for o in network.heads.outputs
        ]
        self.tasks = nn.ModuleDict()
        for task, own in zip(architecture.plan.tasks, heads, strict=True):
            embeddings, *layers, pooler = [copy[task] for copy in copies]
            self.tasks[task] = TaskModel(self.config, embeddings, layers, pooler, own)

    def train(self, mode: bool = True) -> "PlainNetwork":
        """Sets the mode as in torch, except that frozen modules stay in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, (BertEmbeddings, BertLayer, BertPooler)):
                module.train(mode and next(module.parameters()).requires_grad)
        return self

    def compile_layers(self) -> None:
        """Compiles each layer with ``torch.compile``, for batches of any size."""
        for module in self.modules():
            if isinstance(module, BertLayer):
                module.compile(dynamic=True)

    def forward(self, texts: Mapping[str, PaddedText]) -> dict[str, Tensor]:
        """Raw outputs of each task on its own text, task by task."""
        return {task: self.tasks[task](text) for task, text in texts.items()}

    def predict_all(
        self, text: PaddedText, tasks: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """Raw outputs of every task, or of some, on the same text; shared layers run once."""
        cache: dict[int, Tensor] = {}
        chosen = tuple(self.tasks) if tasks is None else tasks
        return {task: self.tasks[task](text, cache) for task in chosen}


def bert_config(shape: EncoderShape, attention: str) -> BertConfig:
    """The project's shape as a config of ``transformers``."""
    config = BertConfig(**checkpoint_config(shape, padding=0))
    config._attn_implementation = attention
    return config


def _check(a: Architecture) -> None:
    plain = a.encoder.family == "bert" and not (a.pals or a.lanes or a.tied or a.read)
    simple = a.head.depth == 0 and not any(head.pair for head in a.heads)
    if not plain or not simple or any(head.pooling != "pooler" for head in a.heads):
        raise ValueError("a plain loop is written for BERT, the pooler and linear heads only")


def _copies(stage: StageCopies, config: BertConfig) -> dict[str, nn.Module]:
    """Each task's module of a stage, with the project's weights."""
    modules: dict[str, nn.Module] = {}
    for owners, own in zip(stage.owners, stage.copies, strict=True):
        module, weights = _convert(stage.name, own.state_dict(), config)
        module.load_state_dict({name: weight.clone() for name, weight in weights.items()})
        module.requires_grad_(stage.trains)
        modules |= dict.fromkeys(owners, module)
    return modules


def _convert(stage: str, state: Weights, config: BertConfig) -> tuple[nn.Module, Weights]:
    """A stage of ``transformers``, and the project's weights under its names."""
    weights = checkpoint_weights({stage: dict(state)}, "bert")
    kind, prefix = {
        "pooler": (BertPooler, "pooler."),
        "embeddings": (BertEmbeddings, "embeddings."),
    }.get(stage, (BertLayer, f"encoder.{stage}."))
    return kind(config), {name.removeprefix(prefix): weight for name, weight in weights.items()}
