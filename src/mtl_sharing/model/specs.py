"""The parts of a network as checked values: heads, projected attention layers, lanes. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from mtl_sharing.errors import UserError, check_known, check_range, check_rate, one_of

HEAD_ACTIVATIONS = ("relu", "gelu", "tanh")
PAL_ACTIVATIONS = (*HEAD_ACTIVATIONS, "identity")
PAL_KINDS = ("attention", "low_rank")
PAL_PROJECTIONS = ("shared", "own")
FUSIONS = ("concatenation", "attention")


@dataclass(frozen=True)
class HeadShape:
    """Hidden head layers of every task: ``depth`` layers of ``width``, dropout between."""

    depth: int
    width: int
    activation: str
    dropout: float

    def __post_init__(self) -> None:
        check_known("head.activation", self.activation, HEAD_ACTIVATIONS)
        check_rate("head.dropout", self.dropout)
        if self.depth < 0 or self.width < 1:
            raise UserError("head.depth, head.width", (self.depth, self.width), "0 and 1 or more")


@dataclass(frozen=True)
class TaskHead:
    """What one task's head reads and gives.

    Attributes:
        name: the task.
        outputs: numbers for each example, K.
        features: what a pair encoded separately is joined by; empty for one vector an example.
        late: the features are taken of what the hidden head layers give, not of what they read.
        cosine: the output is the cosine of the two texts of a pair, without weights.
        bias: starting value of the output bias.
        layer: number of the encoder layer whose states it reads, from 0; None is the last.
        pooling: ``pooler``, ``cls`` or ``mean``.
    """

    name: str
    outputs: int
    features: tuple[str, ...] = ()
    late: bool = False
    cosine: bool = False
    bias: float = 0.0
    layer: int | None = None
    pooling: str = "cls"

    @property
    def pair(self) -> bool:
        """Whether an example is two sequences: the task's text is first ones, then second ones."""
        return self.cosine or bool(self.features)

    @property
    def joins_first(self) -> bool:
        """Whether the two texts of a pair become one vector before the hidden head layers."""
        return bool(self.features) and not self.late

    def input_width(self, hidden: int) -> int:
        """Width of the vector that enters the first head layer."""
        return hidden * len(self.features) if self.joins_first else hidden

    def output_width(self, last: int) -> int:
        """Width that the output layer reads, where the layer before it gives ``last``."""
        return last * len(self.features) if self.late else last


@dataclass(frozen=True)
class PalShape:
    """Projected attention layers (Stickland and Murray 2019): each task's own, beside the others.

    Attributes:
        size: width s of the projection; a multiple of ``heads`` where it holds attention.
        heads: attention heads.
        kind: ``attention``, or ``low_rank`` for the projections alone.
        activation: after V_D; of ``low_rank`` between V_E and V_D.
        projections: ``shared`` by all of a task's layers, or each layer's ``own``.
        layers: numbers of the encoder layers that have one.
    """

    size: int
    heads: int
    kind: str
    activation: str
    projections: str
    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        check_range("sharing.pals.size", self.size, 1)
        check_range("sharing.pals.heads", self.heads, 1)
        check_known("sharing.pals.kind", self.kind, PAL_KINDS)
        check_known("sharing.pals.activation", self.activation, PAL_ACTIVATIONS)
        check_known("sharing.pals.projections", self.projections, PAL_PROJECTIONS)
        if self.kind == "attention" and self.size % self.heads:
            found = f"{self.size} for {self.heads} attention heads"
            raise UserError("sharing.pals.size", found, "a multiple of sharing.pals.heads")
        if self.kind == "attention" and self.activation == "relu":
            # V_D starts at 0, where relu passes no gradient on: it would stay there.
            raise UserError("sharing.pals.activation", "relu", "gelu, tanh or identity")

    def up_to(self, layer: int | None) -> "PalShape":
        """What a task has that reads the states of encoder layer ``layer`` (None: the last)."""
        kept = tuple(n for n in self.layers if layer is None or n <= layer)
        return replace(self, layers=kept)

    @property
    def projection_pairs(self) -> int:
        """How many pairs of V_E and V_D a task has."""
        return min(1, len(self.layers)) if self.projections == "shared" else len(self.layers)

    def weights(self, hidden: int) -> int:
        """Weights of one task, biases aside: ``2 s h + L 3 s^2`` with shared projections."""
        inner = 3 * self.size**2 * len(self.layers) if self.kind == "attention" else 0
        return self.projection_pairs * 2 * self.size * hidden + inner

    def biases(self, hidden: int) -> int:
        """Biases of one task."""
        inner = 3 * self.size * len(self.layers) if self.kind == "attention" else 0
        return self.projection_pairs * (self.size + hidden) + inner


@dataclass(frozen=True)
class LaneShape:
    """Progressive lanes: heads that also read other heads' outputs on the same text.

    Attributes:
        upstream: for each task the heads it reads, directly.
        fusion: how they are joined: ``concatenation`` or ``attention``.
        upstream_rate: share of the gradient that an upstream head's weights take from the losses
            of other tasks; 0 freezes them there, 1 trains them fully.
        task_dropout: rate at which the whole output of an upstream head is dropped in training.
    """

    upstream: Mapping[str, tuple[str, ...]]
    fusion: str
    upstream_rate: float = 0.0
    task_dropout: float = 0.0

    def __post_init__(self) -> None:
        where = "sharing.lanes.upstream"
        check_known("sharing.lanes.fusion", self.fusion, FUSIONS)
        check_range("sharing.lanes.upstream_rate", self.upstream_rate, 0, 1)
        check_rate("sharing.lanes.task_dropout", self.task_dropout)
        for task, others in self.upstream.items():
            for name in others:
                check_known(f"{where}.{task}", name, self.upstream)
            if len(set(others)) < len(others):
                raise UserError(f"{where}.{task}", one_of(others), "each task at most once")
        try:
            _ = self.order
        except CycleError as error:
            cycle = " -> ".join(error.args[1])
            raise UserError(where, f"a cycle: {cycle}", "lanes without cycles") from None

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All tasks, each after those it reads."""
        return tuple(TopologicalSorter(self.upstream).static_order())

    def ancestors(self, task: str) -> tuple[str, ...]:
        """The heads that ``task`` reads, directly or through others, each after those it reads."""
        found = set(self.upstream[task])
        for name in reversed(self.order):
            found |= set(self.upstream[name]) if name in found else set()
        return tuple(name for name in self.order if name in found)
