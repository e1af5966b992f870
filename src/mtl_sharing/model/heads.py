"""What turns pooled text into each task's prediction: pairing, hidden head layers, output."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl_sharing.errors import UserError, did_you_mean, one_of
from mtl_sharing.model.attention import SequenceLayout
from mtl_sharing.plan import SharingPlan

POOLINGS = ("pooler", "cls", "mean")
PAIRINGS = ("joined", "separate")

FEATURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "u": lambda u, v: u,
    "v": lambda u, v: v,
    "absdiff": lambda u, v: (u - v).abs(),
    "product": lambda u, v: u * v,
}
_ACTIVATION: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class HeadShape:
    """Hidden head layers of every task: ``depth`` layers of ``width``, dropout between."""

    depth: int
    width: int
    activation: str
    dropout: float

    def __post_init__(self) -> None:
        if self.activation not in _ACTIVATION:
            hint = did_you_mean(self.activation, _ACTIVATION)
            raise UserError("head.activation", self.activation + hint, one_of(_ACTIVATION))
        if not 0 <= self.dropout < 1:
            raise UserError("head.dropout", self.dropout, "0 up to, not with, 1")
        if self.depth < 0 or self.width < 1:
            raise UserError("head.depth, head.width", (self.depth, self.width), "0 and 1 or more")


@dataclass(frozen=True)
class TaskHead:
    """What one task's head reads and gives.

    Attributes:
        name: the task.
        outputs: numbers for each example, K.
        features: what a pair encoded separately is joined by; empty for one vector an example.
        cosine: the output is the cosine of the two texts of a pair, without weights.
        bias: starting value of the output bias.
    """

    name: str
    outputs: int
    features: tuple[str, ...] = ()
    cosine: bool = False
    bias: float = 0.0

    def input_width(self, hidden: int) -> int:
        """Width of the vector that enters the first head layer."""
        return hidden * max(1, len(self.features))


def check_features(features: Sequence[str]) -> tuple[str, ...]:
    """The features, if there is at least one and all are known.

    Raises:
        UserError: naming ``pairing.features``.
    """
    unknown = [name for name in features if name not in FEATURES]
    if unknown or not features:
        found = unknown[0] + did_you_mean(unknown[0], FEATURES) if unknown else "none"
        raise UserError("pairing.features", found, f"any of {one_of(FEATURES)}")
    return tuple(features)


def check_shared_widths(plan: SharingPlan, depth: int, widths: Mapping[str, int]) -> None:
    """Raises UserError where tasks share the first of ``depth`` head layers at unequal widths."""
    for stage in plan.stages(head_layers=depth, pooler=False):
        for owners in stage.owners if stage.name == "head.0" else ():
            found = {task: widths[task] for task in owners}
            if len(set(found.values())) > 1:
                text = f"{stage.ownership} at {stage.name} over input widths {found}"
                allowed = "equal widths for tasks that share a head layer (see pairing.features)"
                raise UserError("sharing.plan", text, allowed)


def pair_features(pooled: Tensor, names: Sequence[str]) -> Tensor:
    """First texts then second texts, (2 E, H), to features of each pair, (E, len(names) H)."""
    u, v = pooled.chunk(2)
    return torch.cat([FEATURES[name](u, v) for name in names], dim=1)


def cosine(pooled: Tensor) -> Tensor:
    """First texts then second texts, (2 E, H), to the cosine of each pair, (E, 1)."""
    u, v = pooled.chunk(2)
    return F.cosine_similarity(u, v, dim=1)[:, None]


class HeadLayer(nn.Module):
    """One hidden head layer: linear, activation, dropout."""

    def __init__(self, width_in: int, shape: HeadShape) -> None:
        super().__init__()
        self.dense = nn.Linear(width_in, shape.width)
        self.activation = _ACTIVATION[shape.activation]
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, vectors: Tensor, layouts: Sequence[SequenceLayout]) -> Tensor:
        """Vectors (E, width in) to vectors (E, width)."""
        return self.dropout(self.activation(self.dense(vectors)))
