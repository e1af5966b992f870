"""Reads and writes the checkpoint of a tower, by the names of ``transformers``.

Reading is strict: every weight is loaded or is on the list of ignored names. It never runs code
from a file: safetensors, or ``.bin`` with ``weights_only``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from mtl_sharing.errors import UserError, first_line, one_of
from mtl_sharing.model.encoder.checkpoint_files import shards_of
from mtl_sharing.model.encoder.initialization import TAG_TABLES, Tower, empty_state, random_stage
from mtl_sharing.model.encoder.layers import tower_stages
from mtl_sharing.model.encoder.shape import EncoderShape

PARTS = ("weight", "bias")
# A module here to those of the checkpoint. Several are stacked, in this order, into one weight.
_EMBEDDINGS: dict[str, tuple[str, ...]] = {
    "word": ("embeddings.word_embeddings",), "position": ("embeddings.position_embeddings",),
    "token_type": ("embeddings.token_type_embeddings",), "norm": ("embeddings.LayerNorm",),
    "projection": ("embeddings_project",),
}  # fmt: skip
_BERT_LAYER: dict[str, tuple[str, ...]] = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention_output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "up": ("intermediate.dense",), "down": ("output.dense",), "output_norm": ("output.LayerNorm",),
}  # fmt: skip
_DISTILBERT_LAYER: dict[str, tuple[str, ...]] = {
    "qkv": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    "attention_output": ("attention.out_lin",), "attention_norm": ("sa_layer_norm",),
    "up": ("ffn.lin1",), "down": ("ffn.lin2",), "output_norm": ("output_layer_norm",),
}  # fmt: skip
# Heads of pretraining and of earlier fine-tuning, and the position ids that older files have.
_IGNORED = re.compile(
    r"(cls|lm_head|classifier|pre_classifier|qa_outputs|generator_predictions|generator_lm_head"
    r"|discriminator_predictions|vocab_transform|vocab_layer_norm|vocab_projector|score|pooler)\."
    r"|embeddings\.(position_ids|token_type_ids)$"
)


@dataclass(frozen=True)
class LoadedTower:
    """A tower's weights, and its differences from the file.

    Attributes:
        ignored: names of weights in the file that the tower has no use for.
        random: stages that the file lacks, which start at random.
        zeros: embeddings of tags, which start at 0.
    """

    tower: Tower
    ignored: tuple[str, ...]
    random: tuple[str, ...]
    zeros: tuple[str, ...] = ()


def load_tower(path: Path, shape: EncoderShape, seed: int) -> LoadedTower:
    """The tower in a weight file.

    A pooler that the file lacks (RoBERTa's masked-LM checkpoints) is drawn from ``seed``.

    Raises:
        UserError: a damaged or unsafe file, or weights that are missing, unknown, or of another
            size; each is named.
    """
    theirs = standard_names(read_weights(path), shape.family)
    tower, random, zeros = {}, [], []
    for stage in tower_stages(shape):
        state = _pop_stage(stage, shape, theirs)
        if stage == "pooler" and not state:
            state = random_stage(stage, shape, seed)
            random.append(stage)
        expected = empty_state(stage, shape)
        tags = {name: torch.zeros(expected[name].shape) for name in TAG_TABLES if name in expected}
        zeros += [f"{stage}.{name}" for name in tags]
        tower[stage] = state | tags
        source = f"a {shape.family} checkpoint with {shape.layers} layers"
        check_weights(stage, tower[stage], expected, path, source)
    unknown = [name for name in theirs if not _IGNORED.match(name)]
    if unknown:
        found = f"unknown weights: {_shortened(unknown)}"
        raise UserError(str(path), found, "an encoder's weights")
    return LoadedTower(tower, tuple(sorted(theirs)), tuple(random), tuple(zeros))


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a ``.safetensors`` or ``.bin`` file or of an index's shards, on the CPU.

    Raises:
        UserError: a file is missing or damaged, or is a pickle of anything but tensors.
    """
    if path.suffix == ".json":
        return _read_shards(path)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            found = f"a damaged file ({error})"
            raise UserError(str(path), found, "a whole .safetensors") from None
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        found = "a pickle that is damaged or would run code"
        raise UserError(str(path), found, "tensors only") from None
    except Exception as error:  # the class depends on the damaged byte
        found = f"a damaged file ({loading_problem(error)})"
        raise UserError(str(path), found, "a whole .bin") from None
    if not isinstance(weights, Mapping) or not all(map(torch.is_tensor, weights.values())):
        raise UserError(str(path), "an object other than named tensors", "a state dict")
    return dict(weights)


def loading_problem(error: BaseException) -> str:
    """Why torch does not load a file, without its advice to load it unsafely."""
    if "weights_only" in str(error) or "WeightsUnpickler" in str(error):
        return "it holds other things than tensors and plain values"
    return first_line(error)


def _read_shards(index: Path) -> dict[str, Tensor]:
    """All tensors of the shards; of a name in several shards, the one that the index names."""
    files = shards_of(index)
    paths = dict.fromkeys(files.values())
    for path in paths:
        if not path.is_file():
            raise UserError(str(path), "no file", f"every shard that {index.name} names")
    shards = {path: read_weights(path) for path in paths}
    lost = [name for name, path in files.items() if name not in shards[path]]
    if lost:
        found = f"weights that are not in the shards it names: {_shortened(lost)}"
        raise UserError(str(index), found, "an index of the shards beside it")
    weights = {name: tensor for shard in shards.values() for name, tensor in shard.items()}
    return weights | {name: shards[path][name] for name, path in files.items()}


def standard_names(weights: dict[str, Tensor], family: str) -> dict[str, Tensor]:
    """The weights without the model's prefix (``bert.``), and with today's names in layer norms."""
    renamed = {}
    for name, tensor in weights.items():
        name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name.removeprefix(f"{family}."))
        renamed[re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)] = tensor
    return renamed


def _pop_stage(stage: str, shape: EncoderShape, theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Moves a stage's weights out of ``theirs``."""
    return {
        ours: torch.cat([theirs.pop(name).float() for name in names])
        for ours, names in _parameters(stage, shape.family).items()
        if all(name in theirs for name in names)
    }


def _parameters(stage: str, family: str) -> dict[str, list[str]]:
    """The parameters of a stage, each with its parameters in the checkpoint."""
    root = ""
    if stage == "embeddings":
        modules = _EMBEDDINGS
    elif stage == "pooler":
        modules = {"dense": ("pooler.dense",)}
    elif family == "distilbert":
        root, modules = f"transformer.{stage}.", _DISTILBERT_LAYER
    else:
        root, modules = f"encoder.{stage}.", _BERT_LAYER
    return {
        f"{ours}.{part}": [f"{root}{name}.{part}" for name in theirs]
        for ours, theirs in modules.items()
        for part in PARTS
    }


def check_weights(
    part: str, state: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path, source: str
) -> None:
    """Raises UserError unless ``state`` has exactly the weights of ``part``.

    Args:
        path: the file that they were read from, for the error.
        source: description of a file that has all weights, for the error.
    """
    missing = sorted(expected.keys() - state.keys())
    if missing:
        raise UserError(str(path), f"no weights for {part}: {_shortened(missing)}", source)
    surplus = sorted(state.keys() - expected.keys())
    if surplus:
        found = f"weights that {part} has no place for: {_shortened(surplus)}"
        raise UserError(str(path), found, "the weights of the config's shape")
    for name, like in expected.items():
        if state[name].shape != like.shape:
            found = f"{part}.{name} of shape {tuple(state[name].shape)}"
            raise UserError(str(path), found, f"{tuple(like.shape)}, as in the config")


def _shortened(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return one_of(names[:4]) + more


def checkpoint_weights(tower: Tower, family: str) -> dict[str, Tensor]:
    """A tower's weights by their names in ``transformers``; the inverse of :func:`load_tower`."""
    weights: dict[str, Tensor] = {}
    for stage, state in tower.items():
        for ours, theirs in _parameters(stage, family).items():
            if ours in state:
                pieces = state[ours].detach().chunk(len(theirs))
                weights |= {n: p.contiguous() for n, p in zip(theirs, pieces, strict=True)}
    return weights
