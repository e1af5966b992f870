"""Starting weights that no checkpoint has, drawn as BERT's were."""

from zlib import crc32

import torch
from torch import Tensor, nn

from mtl_sharing.model.encoder.layers import make_stage, tower_stages
from mtl_sharing.model.encoder.shape import EncoderShape

Tower = dict[str, dict[str, Tensor]]
"""Stage name (``embeddings``, ``layer.<i>``, ``pooler``) to the stage's state dict."""

# They start at 0, so that an encoder with tags computes what it does without.
TAG_TABLES = ("pos_tag.weight", "entity_type.weight")
DEVIATION = 0.02


def random_tower(shape: EncoderShape, seed: int, deviation: float = DEVIATION) -> Tower:
    """Weights from a normal distribution, biases 0, layer norms 1, embeddings of tags 0."""
    return {name: random_stage(name, shape, seed, deviation) for name in tower_stages(shape)}


def random_stage(
    name: str, shape: EncoderShape, seed: int, deviation: float = DEVIATION
) -> dict[str, Tensor]:
    """Weights of one stage, drawn as in :func:`random_tower`."""
    state, generator = {}, random_source(seed, name)
    for key, like in empty_state(name, shape).items():
        if key in TAG_TABLES:
            state[key] = torch.zeros(like.shape)
        elif like.dim() == 1:
            state[key] = torch.full(like.shape, float("norm" in key and key.endswith("weight")))
        else:
            state[key] = torch.empty(like.shape).normal_(0.0, deviation, generator=generator)
    return state


def random_source(seed: int, name: str) -> torch.Generator:
    """A generator for the part of a network called ``name``, independent of other parts."""
    return torch.Generator().manual_seed(crc32(f"{seed}/{name}".encode()))


def draw_linears(module: nn.Module, generator: torch.Generator) -> None:
    """Draws the weights of a module's linear layers, and sets their biases to 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, DEVIATION, generator)
            nn.init.zeros_(layer.bias)


def empty_state(stage: str, shape: EncoderShape) -> dict[str, Tensor]:
    """The state dict of a stage on the meta device: names and shapes without memory."""
    with torch.device("meta"):
        return make_stage(stage, shape).state_dict()
