"""Progressive lanes: each head reads the text's vector and other heads' outputs on the same text.

For a text of task t with vector z, the heads upstream of t run on z too, in topological order, and
the head of t joins their raw outputs with z. The encoder runs once. In that pass the upstream
weights take only a share of the gradient (0 freezes them), while the gradient to z is complete.
Where tasks have towers of their own, z comes from the tower of t.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.routing import PackedRows, Stream
from mtl_sharing.model.specs import LaneShape


def upstream_outputs(
    heads: nn.Module, lanes: LaneShape, pooled: Mapping[str, PackedRows]
) -> dict[str, list[Tensor]]:
    """For each task, the raw outputs (E, K_u) of its upstream heads on its own text.

    Args:
        pooled: each task's vectors, as in :class:`mtl_sharing.model.heads.Heads`.
    """
    rate = lanes.upstream_rate
    weights = {name: _scale_gradient(weight, rate) for name, weight in heads.named_parameters()}
    return {task: _outputs(heads, lanes, task, rows, weights) for task, rows in pooled.items()}


def _outputs(
    heads: nn.Module, lanes: LaneShape, task: str, rows: PackedRows, weights: dict[str, Tensor]
) -> list[Tensor]:
    outputs: dict[str, Tensor] = {}
    for name in lanes.ancestors(task):
        streams = tuple(Stream((name,), s.layout, s.rows) for s in rows.streams)
        inputs = {name: PackedRows(streams, rows.values)}
        upstream = {name: [outputs[other] for other in lanes.upstream[name]]}
        outputs |= functional_call(heads, weights, (inputs, upstream))
    return [outputs[name] for name in lanes.upstream[task]]


def _scale_gradient(weight: Tensor, rate: float) -> Tensor:
    """The weight with its gradient multiplied by ``rate``."""
    if rate == 1 or not weight.requires_grad:
        return weight
    frozen = weight.detach()
    return frozen if rate == 0 else frozen + rate * (weight - frozen)


def make_fusion(architecture: Architecture, task: str) -> nn.Module:
    """The fusion in front of the head of ``task``; the identity without upstream heads."""
    lanes, widths = architecture.lanes, architecture.lane_widths(task)
    if lanes is None or not widths:
        return nn.Identity()
    if lanes.fusion == "concatenation":
        return Concatenation()
    return AttentionFusion(architecture.head_input(task), widths, architecture.encoder.hidden)


class Concatenation(nn.Module):
    """The head's own vector, followed by the upstream outputs."""

    def forward(self, vectors: Tensor, outputs: Sequence[Tensor]) -> Tensor:
        """Maps vectors (E, W) and outputs (E, K_u) to vectors (E, W + sum of K_u)."""
        return torch.cat([vectors, *(output.to(vectors.dtype) for output in outputs)], dim=1)


class AttentionFusion(nn.Module):
    """The head's own vector x plus attention over the upstream outputs o_u.

    ``x + sum_u a_u V_u o_u`` with ``a = softmax_u(Q x . K_u o_u / sqrt(d))`` (Vaswani et al. 2017).
    A single output needs no Q and K, since its weight is 1.
    """

    def __init__(self, width: int, lanes: Sequence[int], inner: int) -> None:
        super().__init__()
        several = lanes if len(lanes) > 1 else ()
        self.query = nn.Linear(width, inner) if several else None
        self.keys = nn.ModuleList(nn.Linear(lane, inner) for lane in several)
        self.values = nn.ModuleList(nn.Linear(lane, width) for lane in lanes)

    def forward(self, vectors: Tensor, outputs: Sequence[Tensor]) -> Tensor:
        """Maps vectors (E, W) and outputs (E, K_u) to vectors (E, W)."""
        outputs = [output.to(vectors.dtype) for output in outputs]
        values = [f(o) for f, o in zip(self.values, outputs, strict=True)]
        if self.query is None:
            return vectors + values[0]
        query = self.query(vectors)
        keys = torch.stack([f(o) for f, o in zip(self.keys, outputs, strict=True)], dim=1)
        scores = (keys @ query[:, :, None]) / query.shape[1] ** 0.5
        return vectors + (torch.softmax(scores, dim=1) * torch.stack(values, dim=1)).sum(dim=1)


class LaneDropout(nn.Module):
    """Task dropout: in training, drops an example's complete upstream output at a rate.

    Outputs that stay are scaled up, as in any dropout.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, output: Tensor) -> Tensor:
        """Maps one upstream output (E, K) to the same shape."""
        if not self.training or self.rate == 0:
            return output
        return output * F.dropout(output.new_ones(len(output), 1), self.rate)


def match_rows(output: Tensor, rows: int) -> Tensor:
    """An upstream output with as many rows as its reader has vectors.

    A pair encoded separately has either two rows (first texts, then second texts) or one. Outputs
    on each text are laid side by side for the pair. An output on the pair is repeated for both
    texts.
    """
    if len(output) == rows:
        return output
    return output.repeat(2, 1) if len(output) < rows else torch.cat(output.chunk(2), dim=1)
