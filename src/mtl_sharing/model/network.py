"""The whole network: planned encoder, pooling, and every task's head."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mtl_sharing.errors import UserError
from mtl_sharing.model.checkpoint import Tower, random_source
from mtl_sharing.model.heads import (
    HeadLayer,
    HeadShape,
    TaskHead,
    check_shared_widths,
    cosine,
    pair_features,
)
from mtl_sharing.model.planned import PlannedEncoder, by_task, first_tokens, mean_tokens
from mtl_sharing.model.routing import JoinedRow, StageCopies, Stream
from mtl_sharing.model.shape import EncoderShape
from mtl_sharing.plan import SharingPlan, Stage
from mtl_sharing.types import PackedBatch


class Network(nn.Module):
    """Predictions of every task from packed text.

    Args:
        shape: of one encoder tower.
        plan: who owns which stage.
        tower: starting weights of the encoder; None leaves it without memory (meta device).
        heads: what each task's head reads and gives, in the order of the plan's tasks.
        head_shape: hidden head layers.
        pooling: ``pooler``, ``cls`` or ``mean``.
        seed: of the heads' starting weights (normal with deviation 0.02, as BERT's).

    Raises:
        UserError: a plan that does not fit the encoder or the heads.
    """

    def __init__(
        self,
        shape: EncoderShape,
        plan: SharingPlan,
        tower: Tower | None,
        heads: Sequence[TaskHead],
        head_shape: HeadShape,
        pooling: str,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if pooling == "pooler" and not shape.pooler:
            raise UserError("head.pooling", f"pooler with family {shape.family}", "cls or mean")
        self.tasks, self.pooling = tuple(heads), pooling
        self.encoder = PlannedEncoder(shape, plan, tower, pooler=pooling == "pooler")
        stages = plan.stages(head_layers=head_shape.depth, pooler=False)
        widths = {head.name: head.input_width(shape.hidden) for head in heads}
        check_shared_widths(plan, head_shape.depth, widths)
        head_stages = [s for s in stages if s.name.startswith("head.")]
        self.hidden = nn.ModuleList(
            _head_stage(stage, widths, head_shape, first=depth == 0)
            for depth, stage in enumerate(head_stages)
        )
        self.dropout = nn.Dropout(head_shape.dropout)
        last = head_shape.width if head_shape.depth else 0
        self.outputs = nn.ModuleList(
            nn.Identity() if h.cosine else nn.Linear(last or widths[h.name], h.outputs)
            for h in heads
        )
        self._start(seed)

    def _start(self, seed: int) -> None:
        """Each layer's draw depends on its name alone, so that plans start from equal heads."""
        for depth, stage in enumerate(self.hidden):
            for copy in cast(StageCopies, stage).copies:
                _draw(cast(HeadLayer, copy).dense, random_source(seed, f"head.{depth}"))
        for head, output in zip(self.tasks, self.outputs, strict=True):
            if isinstance(output, nn.Linear):
                _draw(output, random_source(seed, f"output.{head.name}"))
                nn.init.constant_(output.bias, head.bias)

    def forward(self, batches: Mapping[str, PackedBatch]) -> dict[str, Tensor]:
        """Raw outputs (E, K) of each task in ``batches``, in float32.

        A batch for a task with ``features`` or ``cosine`` holds all first texts, then all second
        ones. Give several tasks the same batch object to predict them all in one pass.
        """
        rows = self._pool(self.encoder(batches))
        heads = [head for head in self.tasks if head.name in batches]
        pooled = by_task(rows, batches)
        rows = [self._head_input(head, pooled[head.name], rows) for head in heads]
        for stage in self.hidden:
            rows = stage(rows)
        vectors = by_task(rows, batches)
        return {head.name: self._output(head, vectors[head.name]) for head in heads}

    def _pool(self, rows: list[JoinedRow]) -> list[JoinedRow]:
        if self.pooling == "pooler":
            return self.encoder.pooled(rows)
        return first_tokens(rows) if self.pooling == "cls" else mean_tokens(rows)

    def _head_input(self, head: TaskHead, pooled: Tensor, rows: Sequence[JoinedRow]) -> JoinedRow:
        vectors = pair_features(pooled, head.features) if head.features else pooled
        layout = rows[0].streams[0].layout
        return JoinedRow((Stream((head.name,), layout, len(vectors)),), self.dropout(vectors))

    def _output(self, head: TaskHead, vectors: Tensor) -> Tensor:
        if head.cosine:
            return cosine(vectors.float())
        output = self.outputs[self.tasks.index(head)]
        return cast(Tensor, output(vectors)).float()


def _draw(layer: nn.Linear, generator: torch.Generator) -> None:
    nn.init.normal_(layer.weight, 0.0, 0.02, generator)
    nn.init.zeros_(layer.bias)


def _head_stage(
    stage: Stage, widths: Mapping[str, int], shape: HeadShape, first: bool
) -> StageCopies:
    """One hidden head layer; the first reads the tasks' own input widths."""
    each = iter([widths[owners[0]] if first else shape.width for owners in stage.owners])
    return StageCopies(stage, lambda: HeadLayer(next(each), shape))
