"""How a head joins its upstream heads' outputs: see :mod:`mtl_sharing.model.lanes`."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl_sharing.model.architecture import Architecture


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
