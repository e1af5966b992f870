"""Writes an encoder under the names that its family's checkpoints have."""

from collections.abc import Mapping

from torch import Tensor

from mtl_sharing.model.checkpoint import Tower, stage_names

_PARTS = ("weight", "bias")


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
