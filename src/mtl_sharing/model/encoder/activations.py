"""Activation functions by the names that a config may use."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
    "identity": lambda x: x,
}
# Autograd saves the input of these for their gradient, and the output of the others.
SAVES_INPUT = frozenset({"gelu", "gelu_new", "gelu_pytorch_tanh", "silu", "swish"})
