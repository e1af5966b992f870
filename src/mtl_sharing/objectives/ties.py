"""Soft sharing: penalties for differences between the tasks' copies of a weight.

With copies ``w_1 ... w_K`` of one weight, summed over all weights:

- ``pairs``: ``sum_{i<j} |w_i - w_j|^2`` (Duong et al. 2015 for two tasks),
- ``mean``: ``sum_i |w_i - m|^2``, ``m`` the mean of the copies; pairs is K times this,
- ``trace_norm``: sum of the singular values of the K x n matrix of the flattened copies (Yang and
  Hospedales 2017, last-axis flattening). It favours small copies and copies of low rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mtl_sharing.errors import check_known, check_range
from mtl_sharing.plan.settings import TieConfig

KINDS = ("pairs", "mean", "trace_norm")
Copies = Sequence[Sequence[Tensor]]
"""Each task's tied weights, in the same order and shapes."""

# Singular values below this fraction of the largest are rounding errors. The norm's gradient there
# is not unique, and 0 is a subgradient.
_RANK_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Tie:
    """A penalty over tied weights: ``factor`` times the sum over weights."""

    kind: str
    factor: float
    copies: Copies

    def add_gradient(self) -> float:
        """Adds the penalty's gradient to the gradient of every copy; returns the penalty."""
        weights = [weight for copy in self.copies for weight in copy]
        function = trace_norm if self.kind == "trace_norm" else squared_distances
        factor = self.factor * (len(self.copies) if self.kind == "pairs" else 1)
        with torch.no_grad():
            value, gradients = function(self.copies)
            for weight in weights:
                if weight.grad is None:
                    weight.grad = torch.zeros_like(weight)
            sums = [weight.grad for weight in weights if weight.grad is not None]
            torch._foreach_add_(sums, gradients, alpha=factor)
        return factor * float(value)


def check_tie(config: TieConfig) -> None:
    """Raises UserError for an unknown kind or a strength below 0."""
    check_known("sharing.tie.kind", config.kind, KINDS)
    check_range("sharing.tie.strength", config.strength, 0)


def make_tie(config: TieConfig, copies: Copies) -> Tie | None:
    """The penalty of a checked config; None where it would be 0."""
    if config.strength == 0 or not copies or not copies[0]:
        return None
    count = sum(weight.numel() for weight in copies[0])
    return Tie(config.kind, config.strength / (count if config.average else 1), copies)


def squared_distances(copies: Copies) -> tuple[Tensor, list[Tensor]]:
    """Squared distances of the copies to their mean, and the gradient for each weight.

    The gradient is ``2 (w_i - m)``. Like torch's optimisers, this uses foreach functions, which
    on a GPU take one kernel for all weights.
    """
    mean = [weight.clone() for weight in copies[0]]
    for copy in copies[1:]:
        torch._foreach_add_(mean, list(copy))
    torch._foreach_div_(mean, len(copies))
    distances = [d for copy in copies for d in torch._foreach_sub(list(copy), mean)]
    # A foreach norm of a long float32 tensor is inexact, and slow in float64.
    flat = [distance.flatten() for distance in distances]
    value = torch.stack([torch.dot(d, d) for d in flat]).double().sum()
    torch._foreach_mul_(distances, 2)
    return value.to(mean[0].dtype), distances


def trace_norm(copies: Copies) -> tuple[Tensor, list[Tensor]]:
    """Trace norms of the stacked copies of each weight, and the gradient for each weight.

    The gradient of ``|X|_*`` at ``X = U S V'`` is ``U V'``. Weights of one size go through one
    batched product.
    """
    sizes: dict[int, list[int]] = {}
    for number, weight in enumerate(copies[0]):
        sizes.setdefault(weight.numel(), []).append(number)
    value = torch.zeros((), dtype=torch.float64, device=copies[0][0].device)
    gradients: list[list[Tensor]] = [list(copy) for copy in copies]
    for numbers in sizes.values():
        flat = [torch.stack([copy[n].detach().flatten() for copy in copies]) for n in numbers]
        norms, slopes = _trace_norms(torch.stack(flat))
        value += norms
        for number, slope in zip(numbers, slopes, strict=True):
            for gradient, row in zip(gradients, slope, strict=True):
                gradient[number] = row.view_as(gradient[number])
    return value.to(copies[0][0].dtype), [one for gradient in gradients for one in gradient]


def _trace_norms(stacked: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the trace norms of matrices X (T, K, n), and its gradient (T, K, n).

    U and S are those of the K x K Gramian. Copies differ by little compared with their size, so
    rounding of the Gramian would hide their differences. X is therefore rotated first to the
    copies' mean and contrasts between them, which changes no singular value.
    """
    rotation = _contrasts(stacked.shape[1]).to(stacked.device)
    rotated = rotation.to(stacked.dtype) @ stacked
    squares, left = torch.linalg.eigh((rotated @ rotated.mT).double())
    singular = squares.clamp(min=0).sqrt()
    nonzero = singular > _RANK_TOLERANCE * singular[:, -1:]
    inverse = torch.where(nonzero, 1 / singular, 0.0)
    back = rotation.T @ (left * inverse[:, None, :]) @ left.mT
    return torch.where(nonzero, singular, 0.0).sum(), back.to(stacked.dtype) @ rotated


def _contrasts(count: int) -> Tensor:
    """Orthogonal matrix (K, K) in float64: the direction of the mean, then Helmert contrasts."""
    rows = [torch.ones(count, dtype=torch.float64)]
    for number in range(1, count):
        row = torch.zeros(count, dtype=torch.float64)
        row[:number], row[number] = 1, -number
        rows.append(row)
    return torch.stack([row / row.norm() for row in rows])
