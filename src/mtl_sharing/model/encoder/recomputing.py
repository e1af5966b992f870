"""Recomputes cheap values in the backward pass instead of storing them."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


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
