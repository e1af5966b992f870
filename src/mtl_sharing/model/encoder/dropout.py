"""Dropout with random numbers that are cheap on a CPU.

There torch draws one Bernoulli number for each value, which took a sixth of a training step. This
module compares 16 random bits of a fast generator with the rate instead. The generator is seeded
from torch's, so a run depends on torch's random state alone. The rate is rounded to a multiple of
1 / 65,536, and the scale follows the rounded rate, so the expectation is exact.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 1 << 16
# Below this number of values torch's own dropout is as fast.
_MIN_VALUES = 4096


def recomputed(
    values: Tensor, recompute: Callable[[], Tensor]
) -> contextlib.AbstractContextManager[object]:
    """Context in which autograd does not save ``values`` but calls ``recompute`` for them.

    Chen et al. 2016 (sublinear memory cost), for single cheap values.
    """
    if not torch.is_grad_enabled():
        return contextlib.nullcontext()
    # The hooks keep the address: a reference to the tensor itself would keep its memory.
    address, shape = values.data_ptr(), values.shape

    def pack(saved: Tensor) -> Tensor | None:
        same = saved.data_ptr() == address and saved.shape == shape
        return None if same else saved

    def unpack(saved: Any) -> Any:
        return recompute() if saved is None else saved

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


def dropout(values: Tensor, rate: float) -> Tensor:
    """Drops each value with probability ``rate`` and scales the others by ``1 / (1 - rate)``.

    For training only. Srivastava et al. 2014, inverted as in torch.
    """
    if not rate:
        return values
    if _use_torch(values):
        return F.dropout(values, rate)
    mask, dtype, scale = _keep_mask(values, rate), values.dtype, _scale(rate)
    kept = mask.to(dtype)
    with recomputed(kept, lambda: mask.to(dtype)):
        # The scale is applied after the mask, since bf16 would round their product.
        return (values * kept) * scale


def add_dropout(sums: Tensor, values: Tensor, rate: float) -> Tensor:
    """Computes ``sums + dropout(values, rate)`` in one pass over both."""
    if not rate or _use_torch(values):
        return sums + dropout(values, rate)
    mask, dtype, scale = _keep_mask(values, rate), sums.dtype, _scale(rate)
    # In the sums' type: the gradient multiplies mask and scale, which bf16 would round.
    kept = mask.to(dtype)
    with recomputed(kept, lambda: mask.to(dtype)):
        return torch.addcmul(sums, values, kept, value=scale)


class Dropout(nn.Dropout):
    """Applies :func:`dropout` in training; the identity in evaluation mode."""

    @property
    def rate(self) -> float:
        """The effective rate: 0 in evaluation mode."""
        return self.p if self.training else 0.0

    def forward(self, input: Tensor) -> Tensor:
        """Maps values of any shape to values of the same shape."""
        return dropout(input, self.rate)


def _use_torch(values: Tensor) -> bool:
    return values.is_cuda or values.numel() < _MIN_VALUES


def _level(rate: float) -> int:
    return round(rate * _LEVELS)


def _scale(rate: float) -> float:
    level = _level(rate)
    return _LEVELS / (_LEVELS - level) if level < _LEVELS else 0.0


def _keep_mask(values: Tensor, rate: float) -> Tensor:
    """1 for values to keep, 0 for values to drop, int8, in the shape of ``values``."""
    count = values.numel()
    seed = int(torch.randint(2**63 - 1, ()))
    # One 64-bit draw decides four values. One byte of mask per value is all that is kept.
    draws = np.random.SFC64(seed).random_raw(-(-count // 4)).view(np.uint16)[:count]
    return torch.from_numpy((draws >= _level(rate)).view(np.int8)).view(values.shape)
