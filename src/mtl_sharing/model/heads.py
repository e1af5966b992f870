"""Task heads: pair features, hidden layers and output layer over pooled text."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl_sharing.errors import UserError, check_known, one_of
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.attention import SequenceLayout
from mtl_sharing.model.encoder.dropout import Dropout
from mtl_sharing.model.encoder.initialization import draw_linears, random_source
from mtl_sharing.model.encoder.layers import ACTIVATIONS
from mtl_sharing.model.lanes import LaneDropout, make_fusion, match_rows
from mtl_sharing.model.routing import PackedRows, StageCopies, Stream, values_by_task
from mtl_sharing.model.specs import HeadShape, TaskHead
from mtl_sharing.plan.plan import Stage

POOLINGS = ("pooler", "cls", "mean")
PAIRINGS = ("joined", "separate")
PLACES = ("input", "output")

FEATURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "u": lambda u, v: u,
    "v": lambda u, v: v,
    "absdiff": lambda u, v: (u - v).abs(),
    "product": lambda u, v: u * v,
}


class Heads(nn.Module):
    """The heads of all tasks: hidden layers owned as in the plan, and each task's output layer."""

    def __init__(self, architecture: Architecture, seed: int) -> None:
        super().__init__()
        self.tasks, shape = architecture.heads, architecture.head
        lanes = architecture.lanes
        self.fusions = nn.ModuleList(make_fusion(architecture, head.name) for head in self.tasks)
        self.lane_dropout = LaneDropout(lanes.task_dropout if lanes is not None else 0.0)
        widths = {head.name: architecture.head_input(head.name) for head in self.tasks}
        stages = [s for s in architecture.stages() if s.name.startswith("head.")]
        self.hidden = nn.ModuleList(_head_stage(stage, widths, shape) for stage in stages)
        self.dropout = Dropout(shape.dropout)
        self.outputs = nn.ModuleList(
            nn.Identity() if h.cosine else nn.Linear(architecture.output_input(h.name), h.outputs)
            for h in self.tasks
        )
        self._initialize(seed)

    def _initialize(self, seed: int) -> None:
        # Each layer's draw depends on its name alone, so that plans start from equal heads.
        for depth, stage in enumerate(self.hidden):
            for copy in cast(StageCopies, stage).copies:
                draw_linears(copy, random_source(seed, f"head.{depth}"))
        for head, fusion, output in zip(self.tasks, self.fusions, self.outputs, strict=True):
            draw_linears(fusion, random_source(seed, f"lanes.{head.name}"))
            draw_linears(output, random_source(seed, f"output.{head.name}"))
            if isinstance(output, nn.Linear):
                nn.init.constant_(output.bias, head.bias)

    def forward(
        self, pooled: Mapping[str, PackedRows], upstream: Mapping[str, Sequence[Tensor]]
    ) -> dict[str, Tensor]:
        """Raw outputs (E, K), in float32, of the tasks in ``pooled``.

        Args:
            pooled: each task's vectors (B, H). Of separately encoded pairs, all first texts come
                before all second ones.
            upstream: outputs of each task's upstream heads on the same text; empty without lanes.
        """
        heads = [(n, head) for n, head in enumerate(self.tasks) if head.name in pooled]
        rows = [self._input(n, h, pooled[h.name], upstream.get(h.name, ())) for n, h in heads]
        for stage in self.hidden:
            rows = stage(rows)
        last = values_by_task(rows, pooled)
        return {head.name: self._output(n, head, last[head.name]) for n, head in heads}

    def _input(
        self, number: int, head: TaskHead, pooled: PackedRows, upstream: Sequence[Tensor]
    ) -> PackedRows:
        vectors = pooled.values
        if head.joins_first:
            vectors = pair_features(vectors, head.features)
        if upstream:
            outputs = [self.lane_dropout(match_rows(output, len(vectors))) for output in upstream]
            vectors = self.fusions[number](vectors, outputs)
        stream = Stream((head.name,), pooled.streams[0].layout, len(vectors))
        return PackedRows((stream,), self.dropout(vectors))

    def _output(self, number: int, head: TaskHead, vectors: Tensor) -> Tensor:
        # Products in bf16 would round the outputs: a value near 5 to steps of 1/32.
        with torch.autocast(vectors.device.type, enabled=False):
            vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
            if head.cosine:
                return cosine(vectors).float()
            if head.late:
                vectors = pair_features(vectors, head.features)
            return cast(Tensor, self.outputs[number](vectors)).float()


class HeadLayer(nn.Module):
    """One hidden head layer: linear, activation, dropout."""

    def __init__(self, width_in: int, shape: HeadShape) -> None:
        super().__init__()
        self.dense = nn.Linear(width_in, shape.width)
        self.activation = ACTIVATIONS[shape.activation]
        self.dropout = Dropout(shape.dropout)

    def forward(self, vectors: Tensor, layouts: Sequence[SequenceLayout]) -> Tensor:
        """Maps vectors (E, width in) to vectors (E, width)."""
        return cast(Tensor, self.dropout(self.activation(self.dense(vectors))))


def _head_stage(stage: Stage, widths: Mapping[str, int], shape: HeadShape) -> StageCopies:
    """The copies of one hidden head layer. The first has the input widths of its tasks."""
    first = stage.name == "head.0"
    inputs = iter([widths[owners[0]] if first else shape.width for owners in stage.owners])
    return StageCopies(stage, lambda: HeadLayer(next(inputs), shape))


def check_features(features: Sequence[str]) -> tuple[str, ...]:
    """Returns the features; raises UserError for none, or an unknown one."""
    if not features:
        raise UserError("pairing.features", "none", f"any of {one_of(FEATURES)}")
    for name in features:
        check_known("pairing.features", name, FEATURES)
    return tuple(features)


def pair_features(pooled: Tensor, names: Sequence[str]) -> Tensor:
    """Features of each pair: first texts then second texts, (2 E, H), to (E, len(names) H)."""
    u, v = pooled.chunk(2)
    return torch.cat([FEATURES[name](u, v) for name in names], dim=1)


def cosine(pooled: Tensor) -> Tensor:
    """Cosine of each pair: first texts then second texts, (2 E, H), to (E, 1)."""
    u, v = pooled.chunk(2)
    return F.cosine_similarity(u, v, dim=1)[:, None]
