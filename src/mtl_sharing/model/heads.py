"""What turns pooled text into each task's prediction: pairing, hidden head layers, output."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl_sharing.errors import UserError, check_known, one_of
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.activations import ACTIVATIONS
from mtl_sharing.model.encoder.attention import SequenceLayout
from mtl_sharing.model.encoder.dropout import Dropout
from mtl_sharing.model.encoder.initialization import draw_linear, random_source
from mtl_sharing.model.routing import JoinedRow, StageCopies, Stream, row_of_each
from mtl_sharing.model.specs import HeadShape, TaskHead
from mtl_sharing.plan import Stage


class Concatenation(nn.Module):
    """The head's own vector, and the upstream outputs after it."""

    def forward(self, vectors: Tensor, outputs: Sequence[Tensor]) -> Tensor:
        """Vectors (R, W) and outputs (R, K_u) to vectors (R, W + sum of K_u)."""
        return torch.cat([vectors, *(output.to(vectors.dtype) for output in outputs)], dim=1)


class AttentionFusion(nn.Module):
    """The head's own vector x plus what it attends to among the upstream outputs o_u.

    ``x + sum_u a_u V_u o_u`` with ``a = softmax_u(Q x . K_u o_u / sqrt(d))`` (Vaswani et al. 2017).
    A single output needs no Q and K: its weight is 1.
    """

    def __init__(self, width: int, lanes: Sequence[int], inner: int) -> None:
        super().__init__()
        several = lanes if len(lanes) > 1 else ()
        self.query = nn.Linear(width, inner) if several else None
        self.keys = nn.ModuleList(nn.Linear(lane, inner) for lane in several)
        self.values = nn.ModuleList(nn.Linear(lane, width) for lane in lanes)

    def forward(self, vectors: Tensor, outputs: Sequence[Tensor]) -> Tensor:
        """Vectors (R, W) and outputs (R, K_u) to vectors (R, W)."""
        outputs = [output.to(vectors.dtype) for output in outputs]
        values = [f(o) for f, o in zip(self.values, outputs, strict=True)]
        if self.query is None:
            return vectors + values[0]
        query = self.query(vectors)
        keys = torch.stack([f(o) for f, o in zip(self.keys, outputs, strict=True)], dim=1)
        scores = (keys @ query[:, :, None]) / query.shape[1] ** 0.5
        return vectors + (torch.softmax(scores, dim=1) * torch.stack(values, dim=1)).sum(dim=1)


class LaneDropout(nn.Module):
    """Task dropout: in training, an example's whole upstream output is dropped at a rate.

    Outputs that stay are scaled up, as in any dropout.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, output: Tensor) -> Tensor:
        """One upstream output (R, K)."""
        if not self.training or self.rate == 0:
            return output
        return output * F.dropout(output.new_ones(len(output), 1), self.rate)


def make_fusion(architecture: Architecture, task: str) -> nn.Module:
    """How the head of ``task`` joins its upstream outputs; nothing where it has none."""
    lanes, widths = architecture.lanes, architecture.lane_widths(task)
    if lanes is None or not widths:
        return nn.Identity()
    if lanes.fusion == "concatenation":
        return Concatenation()
    own, hidden = architecture.head_input(task), architecture.encoder.hidden
    return AttentionFusion(own, widths, hidden)


def to_rows(output: Tensor, rows: int) -> Tensor:
    """An upstream output brought to as many rows as its reader has vectors.

    A pair encoded separately has either two rows (first texts, then second texts) or one. Outputs
    on each text are laid side by side for the pair; an output on the pair goes to both texts.
    """
    if len(output) == rows:
        return output
    return output.repeat(2, 1) if len(output) < rows else torch.cat(output.chunk(2), dim=1)


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
    """The heads of all tasks: hidden layers owned as the plan says, and each task's output.

    Args:
        architecture: of the network.
        seed: of the starting weights (normal with deviation 0.02, as BERT's).
    """

    def __init__(self, architecture: Architecture, seed: int) -> None:
        super().__init__()
        self.tasks, shape = architecture.heads, architecture.head
        lanes = architecture.lanes
        self.fusions = nn.ModuleList(make_fusion(architecture, head.name) for head in self.tasks)
        self.lane_dropout = LaneDropout(lanes.task_dropout if lanes is not None else 0.0)
        widths = {head.name: architecture.head_input(head.name) for head in self.tasks}
        stages = [s for s in architecture.stages() if s.name.startswith("head.")]
        self.hidden = nn.ModuleList(
            _head_stage(stage, widths, shape, first=depth == 0)
            for depth, stage in enumerate(stages)
        )
        self.dropout = Dropout(shape.dropout)
        self.outputs = nn.ModuleList(
            nn.Identity() if h.cosine else nn.Linear(architecture.output_input(h.name), h.outputs)
            for h in self.tasks
        )
        self._start(seed)

    def _start(self, seed: int) -> None:
        """Each layer's draw depends on its name alone, so that plans start from equal heads."""
        for depth, stage in enumerate(self.hidden):
            for copy in cast(StageCopies, stage).copies:
                draw_linear(cast(HeadLayer, copy).dense, random_source(seed, f"head.{depth}"))
        for number, head in enumerate(self.tasks):
            source = random_source(seed, f"lanes.{head.name}")
            for module in self.fusions[number].modules():
                if isinstance(module, nn.Linear):
                    draw_linear(module, source)
            output = self.outputs[number]
            if isinstance(output, nn.Linear):
                draw_linear(output, random_source(seed, f"output.{head.name}"))
                nn.init.constant_(output.bias, head.bias)

    def forward(
        self, pooled: Mapping[str, JoinedRow], upstream: Mapping[str, Sequence[Tensor]]
    ) -> dict[str, Tensor]:
        """Raw outputs (E, K), in float32, of the tasks in ``pooled``.

        Args:
            pooled: each task's vectors (B, H); of a pair first texts, then second texts.
            upstream: outputs of each task's upstream heads on the same text; empty without lanes.
        """
        chosen = [(n, head) for n, head in enumerate(self.tasks) if head.name in pooled]
        rows = [self._input(n, h, pooled[h.name], upstream.get(h.name, ())) for n, h in chosen]
        for stage in self.hidden:
            rows = stage(rows)
        last = row_of_each(rows, pooled)
        return {head.name: self._output(n, head, last[head.name].values) for n, head in chosen}

    def _input(
        self, number: int, head: TaskHead, pooled: JoinedRow, upstream: Sequence[Tensor]
    ) -> JoinedRow:
        vectors = pooled.values
        if head.joins_first:
            vectors = pair_features(vectors, head.features)
        if upstream:
            outputs = [self.lane_dropout(to_rows(output, len(vectors))) for output in upstream]
            vectors = self.fusions[number](vectors, outputs)
        stream = Stream((head.name,), pooled.streams[0].layout, len(vectors))
        return JoinedRow((stream,), self.dropout(vectors))

    def _output(self, number: int, head: TaskHead, vectors: Tensor) -> Tensor:
        if head.cosine:
            return cosine(vectors.float())
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
        """Vectors (E, width in) to vectors (E, width)."""
        return cast(Tensor, self.dropout(self.activation(self.dense(vectors))))


def _head_stage(
    stage: Stage, widths: Mapping[str, int], shape: HeadShape, first: bool
) -> StageCopies:
    """One hidden head layer; the first reads the tasks' own input widths."""
    each = iter([widths[owners[0]] if first else shape.width for owners in stage.owners])
    return StageCopies(stage, lambda: HeadLayer(next(each), shape))


def check_features(features: Sequence[str]) -> tuple[str, ...]:
    """The features, if there is at least one and all are known.

    Raises:
        UserError: naming ``pairing.features``.
    """
    if not features:
        raise UserError("pairing.features", "none", f"any of {one_of(FEATURES)}")
    for name in features:
        check_known("pairing.features", name, FEATURES)
    return tuple(features)


def pair_features(pooled: Tensor, names: Sequence[str]) -> Tensor:
    """First texts then second texts, (2 E, H), to features of each pair, (E, len(names) H)."""
    u, v = pooled.chunk(2)
    return torch.cat([FEATURES[name](u, v) for name in names], dim=1)


def cosine(pooled: Tensor) -> Tensor:
    """First texts then second texts, (2 E, H), to the cosine of each pair, (E, 1)."""
    u, v = pooled.chunk(2)
    return F.cosine_similarity(u, v, dim=1)[:, None]
