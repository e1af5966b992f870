"""Gradients of embedding tables, added in place to the rows that a step has read.

torch gives a table of V rows a new gradient of V rows in every step, nearly all of it zeros that
are written, and then read again by clipping and the optimiser. Here one buffer stays for the whole
training: the backward pass adds its few rows, and after the update only these are cleared. What
the optimiser sees is the same dense gradient.
"""

from functools import partial

import torch
from torch import Tensor

from mtl_sharing.model.layers import Embeddings
from mtl_sharing.model.network import Network


class RowGradients:
    """The word tables of a network on a CPU whose gradients are kept that way.

    A GPU writes its zeros fast enough. The gradient of a tied table is dense, since the tie pulls
    at every row.
    """

    def __init__(self, network: Network) -> None:
        tied = {id(weight) for copy in network.tied() for weight in copy}
        modules = [m.word for m in network.modules() if isinstance(m, Embeddings)]
        self.tables = [m for m in modules if m.weight.requires_grad and id(m.weight) not in tied]
        self.tables = [m for m in self.tables if m.weight.device.type == "cpu"]
        self._touched: list[list[Tensor]] = [[] for _ in self.tables]
        for table, touched in zip(self.tables, self._touched, strict=True):
            table.sparse = True
            table.weight.register_hook(partial(_note, touched))
            table.weight.grad = torch.zeros_like(table.weight)

    def clear(self, optimizer: torch.optim.Optimizer) -> None:
        """Makes every gradient ready for the next update: rows cleared, all others None."""
        kept = [table.weight.grad for table in self.tables]
        optimizer.zero_grad(set_to_none=True)
        for table, grad, touched in zip(self.tables, kept, self._touched, strict=True):
            if grad is not None:
                for rows in touched:
                    grad.index_fill_(0, rows, 0)
            table.weight.grad = grad
            touched.clear()


def _note(touched: list[Tensor], grad: Tensor) -> None:
    touched.append(grad._indices()[0])
