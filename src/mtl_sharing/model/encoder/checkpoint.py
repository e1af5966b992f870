"""Reads a checkpoint of one tower strictly: every weight is placed, or dropped on purpose.

A tower is a plain dict: stage name (``embeddings``, ``layer.<i>``, ``pooler``) to that stage's
state dict. Loading never runs code from a file: safetensors, or ``.bin`` with ``weights_only``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from zlib import crc32

import torch
from torch import Tensor, nn

from mtl_sharing.errors import UserError, one_of
from mtl_sharing.model.encoder.layers import make_stage, tower_stages
from mtl_sharing.model.encoder.shape import EncoderShape

Tower = dict[str, dict[str, Tensor]]

_PARTS = ("weight", "bias")
_TABLES = {
    "word": "embeddings.word_embeddings",
    "position": "embeddings.position_embeddings",
    "token_type": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
    "projection": "embeddings_project",
}
# No checkpoint has them: they start at 0, so that the encoder starts as it is without tags.
_TAG_TABLES = ("pos_tag.weight", "entity_type.weight")
# Our name in a layer to theirs; several names are stacked, in this order, into one weight.
_BERT_LAYER = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention_output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "output_norm": ("output.LayerNorm",),
}
_DISTILBERT_LAYER = {
    "qkv": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    "attention_output": ("attention.out_lin",),
    "attention_norm": ("sa_layer_norm",),
    "up": ("ffn.lin1",),
    "down": ("ffn.lin2",),
    "output_norm": ("output_layer_norm",),
}
# Heads of pretraining and of earlier fine-tuning, and the table of positions older files carry.
_DROPPED = re.compile(
    r"(cls|lm_head|classifier|pre_classifier|qa_outputs|generator_predictions|generator_lm_head"
    r"|discriminator_predictions|vocab_transform|vocab_layer_norm|vocab_projector|score|pooler)\."
    r"|embeddings\.(position_ids|token_type_ids)$"
)


@dataclass(frozen=True)
class LoadedTower:
    """A tower's weights, and what lies between the file and them.

    Attributes:
        dropped: names left out on purpose.
        fresh: stages that the file lacks, which start at random.
        zeros: embeddings of tags, which start at 0.
    """

    tower: Tower
    dropped: tuple[str, ...]
    fresh: tuple[str, ...]
    zeros: tuple[str, ...] = ()


def random_tower(shape: EncoderShape, seed: int, deviation: float = 0.02) -> Tower:
    """Weights drawn as BERT's were: normal with deviation 0.02, biases 0, layer norms 1."""
    return {
        name: random_stage(name, shape, random_source(seed, name), deviation)
        for name in tower_stages(shape)
    }


def random_source(seed: int, name: str) -> torch.Generator:
    """Random numbers of their own for the part of a network called ``name``."""
    return torch.Generator().manual_seed(crc32(f"{seed}/{name}".encode()))


def draw_linear(layer: nn.Linear, generator: torch.Generator) -> None:
    """Starting weights of a layer that no checkpoint has, as BERT's were drawn."""
    nn.init.normal_(layer.weight, 0.0, 0.02, generator)
    nn.init.zeros_(layer.bias)


def random_stage(
    name: str, shape: EncoderShape, generator: torch.Generator, deviation: float = 0.02
) -> dict[str, Tensor]:
    """Random weights of one stage, as :func:`random_tower` draws them; tags start at 0."""
    state = {}
    for key, like in _expected(name, shape).items():
        if key in _TAG_TABLES:
            state[key] = torch.zeros(like.shape)
        elif like.dim() == 1:
            state[key] = torch.full(like.shape, float("norm" in key and key.endswith("weight")))
        else:
            state[key] = torch.empty(like.shape).normal_(0.0, deviation, generator=generator)
    return state


def _expected(stage: str, shape: EncoderShape) -> dict[str, Tensor]:
    with torch.device("meta"):
        return make_stage(stage, shape).state_dict()


def load_tower(path: Path, shape: EncoderShape, seed: int) -> LoadedTower:
    """The tower in a weight file.

    A pooler that the file lacks (RoBERTa's masked-LM checkpoints) starts at random from ``seed``
    and is named in ``fresh``; embeddings of tags start at 0 and are named in ``zeros``.

    Raises:
        UserError: a damaged or unsafe file, or weights that are missing, too many, or of another
            size; each is named.
    """
    theirs = plain_names(read_weights(path), shape.family)
    tower, fresh, zeros = {}, [], []
    for stage in tower_stages(shape):
        state = _take_stage(stage, shape, theirs)
        if stage == "pooler" and not state:
            state = random_stage(stage, shape, random_source(seed, stage))
            fresh.append(stage)
        expected = _expected(stage, shape)
        tables = {
            name: torch.zeros(expected[name].shape) for name in _TAG_TABLES if name in expected
        }
        state |= tables
        zeros += [f"{stage}.{name}" for name in tables]
        whole = f"a {shape.family} checkpoint with {shape.layers} layers"
        check_weights(stage, state, expected, path, whole)
        tower[stage] = state
    unknown = [name for name in theirs if not _DROPPED.match(name)]
    if unknown:
        raise UserError(str(path), f"weights that belong nowhere: {_some(unknown)}", "an encoder")
    return LoadedTower(tower, tuple(sorted(theirs)), tuple(fresh), tuple(zeros))


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a ``.safetensors`` or ``.bin`` file, on the CPU.

    Raises:
        UserError: the file is damaged, or is a pickle of anything but tensors.
    """
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise UserError(
                str(path), f"a damaged file ({error})", "a whole .safetensors"
            ) from None
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        found = "a pickle that is damaged or would run code"
        raise UserError(str(path), found, "tensors only") from None
    except Exception as error:  # what a damaged file raises depends on where the damage lies
        reason = str(error).partition("\n")[0]
        raise UserError(str(path), f"a damaged file ({reason})", "a whole .bin") from None
    if not isinstance(weights, Mapping) or not all(map(torch.is_tensor, weights.values())):
        raise UserError(str(path), "something else than named tensors", "a state dict")
    return dict(weights)


def plain_names(weights: dict[str, Tensor], family: str) -> dict[str, Tensor]:
    """The weights under names without the model's prefix (``bert.``).

    Layer norms get the names of their weights that are used today.
    """
    prefix = f"{family}."
    modern = {}
    for name, tensor in weights.items():
        name = name.removeprefix(prefix)
        name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)
        modern[re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)] = tensor
    return modern


def stage_names(stage: str, family: str) -> dict[str, tuple[str, ...]]:
    """Our module names in a stage, each with the names that it is read from."""
    if stage == "embeddings":
        return {ours: (theirs,) for ours, theirs in _TABLES.items()}
    if stage == "pooler":
        return {"dense": ("pooler.dense",)}
    depth = stage.removeprefix("layer.")
    if family == "distilbert":
        root, names = f"transformer.layer.{depth}", _DISTILBERT_LAYER
    else:
        root, names = f"encoder.layer.{depth}", _BERT_LAYER
    return {ours: tuple(f"{root}.{name}" for name in theirs) for ours, theirs in names.items()}


def _take_stage(stage: str, shape: EncoderShape, theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Moves a stage's weights out of ``theirs``; what stays there has found no place."""
    state = {}
    for ours, sources in stage_names(stage, shape.family).items():
        for part in _PARTS:
            names = [f"{source}.{part}" for source in sources]
            if all(name in theirs for name in names):
                state[f"{ours}.{part}"] = torch.cat([theirs.pop(name).float() for name in names])
    return state


def check_weights(
    part: str,
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    path: Path,
    whole: str,
) -> None:
    """Raises UserError unless ``state`` holds exactly the weights that ``part`` expects.

    Args:
        path: the file that they were read from, for the error.
        whole: what a file that has them all is called, for the error.
    """
    missing = sorted(expected.keys() - state.keys())
    if missing:
        raise UserError(str(path), f"no weights for {part}: {_some(missing)}", whole)
    surplus = sorted(state.keys() - expected.keys())
    if surplus:
        found = f"weights that {part} has no place for: {_some(surplus)}"
        raise UserError(str(path), found, "the weights that the config asks for")
    for name, like in expected.items():
        if state[name].shape != like.shape:
            found = f"{part}.{name} of shape {tuple(state[name].shape)}"
            raise UserError(str(path), found, f"{tuple(like.shape)}, which the config asks for")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return one_of(names[:4]) + more


def plain_weights(tower: Tower, family: str) -> dict[str, Tensor]:
    """A tower's weights by the names that :func:`load_tower` reads them from."""
    found: dict[str, Tensor] = {}
    for stage, state in tower.items():
        for ours, names in stage_names(stage, family).items():
            for part in _PARTS:
                if f"{ours}.{part}" in state:
                    found |= _parted(state[f"{ours}.{part}"], [f"{name}.{part}" for name in names])
    return found


def _parted(weight: Tensor, names: list[str]) -> Mapping[str, Tensor]:
    """Several of their weights lie one below the other in one of ours."""
    parts = weight.detach().chunk(len(names))
    return {name: part.contiguous() for name, part in zip(names, parts, strict=True)}
