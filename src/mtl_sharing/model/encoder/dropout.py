"""Dropout whose random numbers are cheap on a CPU.

There torch draws one Bernoulli number for each value, which took a sixth of a training step. Here
a value is kept or dropped by 16 random bits of a fast generator, seeded from torch's own, so that
a run still depends on torch's random state alone. The rate is rounded to 1 / 65,536 and the scale
follows the rounded rate, so the expectation is exact.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl_sharing.model.encoder.recomputing import recomputed

_LEVELS = 1 << 16
# Below this many values torch's own is as fast.
_FEW = 4096


def dropout(values: Tensor, rate: float) -> Tensor:
    """Each value dropped with probability ``rate``, the others scaled by ``1 / (1 - rate)``.

    For training only; Srivastava et al. 2014, inverted as in torch.
    """
    if not rate:
        return values
    if _left_to_torch(values):
        return F.dropout(values, rate)
    level = _level(rate)
    bits, dtype = _kept(values, level), values.dtype
    kept = bits.to(dtype)
    with recomputed(kept, lambda: bits.to(dtype)):
        # Scaled apart from the mask, or bf16 would round the scale.
        return (values * kept) * _scale(level)


def add_dropout(sums: Tensor, values: Tensor, rate: float) -> Tensor:
    """``sums + dropout(values, rate)``, in one pass over both."""
    if not rate or _left_to_torch(values):
        return sums + dropout(values, rate)
    level = _level(rate)
    # In the sums' type: the gradient multiplies mask and scale, which bf16 would round.
    bits, dtype = _kept(values, level), sums.dtype
    kept = bits.to(dtype)
    with recomputed(kept, lambda: bits.to(dtype)):
        return torch.addcmul(sums, values, kept, value=_scale(level))


class Dropout(nn.Dropout):
    """:func:`dropout` as a module: nothing outside training."""

    @property
    def rate(self) -> float:
        """The rate that is in force now."""
        return self.p if self.training else 0.0

    def forward(self, input: Tensor) -> Tensor:
        """Values to values, any shape."""
        return dropout(input, self.rate)


def _left_to_torch(values: Tensor) -> bool:
    return values.is_cuda or values.numel() < _FEW


def _level(rate: float) -> int:
    return round(rate * _LEVELS)


def _scale(level: int) -> float:
    return _LEVELS / (_LEVELS - level) if level < _LEVELS else 0.0


def _kept(values: Tensor, level: int) -> Tensor:
    """1 for values that stay, 0 for dropped ones: one byte each, in the shape of ``values``."""
    count = values.numel()
    seed = int(torch.randint(2**63 - 1, ()))
    words = np.random.SFC64(seed).random_raw(-(-count // 4))
    bits = words.view(np.uint16)[:count]
    return torch.from_numpy((bits >= level).view(np.int8)).view(values.shape)
