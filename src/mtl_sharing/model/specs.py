"""Checked values for heads, projected attention layers and lanes. No torch."""

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
    """Hidden head layers of every task: ``depth`` layers of ``width``, each with dropout."""

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
    """Input and output of one task's head.

    Attributes:
        outputs: raw outputs for each example, K.
        features: features that join separately encoded texts; empty for one vector per example.
        late: whether the features follow the hidden head layers, not precede them.
        cosine: whether the output is the cosine of a pair's two texts, without weights.
        bias: starting value of the output bias.
        layer: encoder layer that the head reads, from 0; None is the last.
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
        """Whether an example is two sequences: a batch has first texts, then second texts."""
        return self.cosine or bool(self.features)

    @property
    def joins_first(self) -> bool:
        """Whether the two texts of a pair become one vector before the hidden head layers."""
        return bool(self.features) and not self.late


@dataclass(frozen=True)
class PalShape:
    """Projected attention layers of each task (Stickland and Murray 2019).

    Attributes:
        size: width s of the projection; a multiple of ``heads`` for attention.
        heads: attention heads.
        kind: ``attention``, or ``low_rank`` for the projections alone.
        activation: activation after V_D, or for ``low_rank`` between V_E and V_D.
        projections: ``shared`` by all of a task's layers, or ``own`` for each layer.
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
            # V_D starts at 0, where relu has no gradient, so it would stay there.
            raise UserError("sharing.pals.activation", "relu", "gelu, tanh or identity")

    def up_to(self, layer: int | None) -> "PalShape":
        """The shape for a task that reads encoder layer ``layer`` (None: the last)."""
        return replace(self, layers=tuple(n for n in self.layers if layer is None or n <= layer))

    @property
    def projection_pairs(self) -> int:
        """Number of pairs of V_E and V_D for each task."""
        return min(1, len(self.layers)) if self.projections == "shared" else len(self.layers)

    def weights(self, hidden: int) -> int:
        """Weights of one task without biases: ``2 s h + L 3 s^2`` with shared projections."""
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
        upstream: for each task the heads that it reads directly.
        fusion: how outputs are joined with the task's vector: ``concatenation`` or ``attention``.
        upstream_rate: share of the gradient that an upstream head's weights take from the losses
            of other tasks; 0 freezes them there, 1 trains them fully.
        task_dropout: rate at which an example's complete upstream output is dropped in training.
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
        for task, names in self.upstream.items():
            for name in names:
                check_known(f"{where}.{task}", name, self.upstream)
            if len(set(names)) < len(names):
                raise UserError(f"{where}.{task}", one_of(names), "each task at most once")
        try:
            _ = self.order
        except CycleError as error:
            cycle = " -> ".join(error.args[1])
            raise UserError(where, f"a cycle: {cycle}", "lanes without cycles") from None

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All tasks in topological order, each after its upstream tasks."""
        return tuple(TopologicalSorter(self.upstream).static_order())

    def ancestors(self, task: str) -> tuple[str, ...]:
        """The heads that ``task`` reads, directly or indirectly, in topological order."""
        ancestors = set(self.upstream[task])
        for name in reversed(self.order):
            ancestors |= set(self.upstream[name]) if name in ancestors else set()
        return tuple(name for name in self.order if name in ancestors)
