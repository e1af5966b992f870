"""Memory for a little time: values that the backward pass makes anew instead of keeping them."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def recomputed(
    values: Tensor, again: Callable[[], Tensor]
) -> contextlib.AbstractContextManager[object]:
    """While it lasts, autograd does not keep ``values``: where it needs them, it calls ``again``.

    Chen et al. 2016 (sublinear memory cost), for single cheap values.
    """
    if not torch.is_grad_enabled():
        return contextlib.nullcontext()
    # The tensor itself must not be held by what follows.
    address, shape = values.data_ptr(), values.shape

    def pack(saved: Tensor) -> Tensor | None:
        same = saved.data_ptr() == address and saved.shape == shape
        return None if same else saved

    def unpack(kept: Any) -> Tensor:
        found: Tensor = again() if kept is None else kept
        return found

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)
