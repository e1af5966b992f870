"""Gradients of embedding tables, added in place to the rows that a step has read.

torch allocates a gradient of V rows for a table of V rows in every step, nearly all of it zeros.
Here one buffer serves the whole training: the backward pass adds to the rows that were read, and
after the update only these are cleared. Clipping and the optimizer see the same dense gradient,
and None where no row was read.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mtl_sharing.model.encoder.layers import Embeddings


def table_gradients(network: nn.Module, dense: Iterable[Tensor] = ()) -> "list[TableGradient]":
    """Takes over the gradients of a network's word tables on a CPU.

    A GPU writes zeros fast enough.

    Args:
        dense: weights to leave out: their gradients reach every row, as a tie's do, or are taken
            away between backward passes.
    """
    excluded = {id(weight) for weight in dense}
    words = [m.word for m in network.modules() if isinstance(m, Embeddings)]
    trained = [w for w in words if w.weight.requires_grad and id(w.weight) not in excluded]
    return [TableGradient(w) for w in trained if w.weight.device.type == "cpu"]


class TableGradient:
    """The gradient of one word table.

    Attributes:
        weight: the table, shape (V, H).
        buffer: the gradient while there is one, zeros otherwise; shape (V, H).
    """

    def __init__(self, words: nn.Embedding) -> None:
        words.sparse = True
        self._words = words
        self.weight, self.buffer = words.weight, torch.zeros_like(words.weight)
        self._rows: list[Tensor] = []
        # autograd calls the hook before it adds the sparse gradient to ``weight.grad``.
        self._hook = self.weight.register_hook(self._use_buffer)

    def _use_buffer(self, grad: Tensor) -> None:
        self.weight.grad = self.buffer
        # The public ``indices()`` asks for a coalesced gradient, which costs a sort.
        self._rows.append(grad._indices()[0])

    def clear(self) -> None:
        """Clears the rows that were read, for the next update."""
        for rows in self._rows:
            self.buffer.index_fill_(0, rows, 0)
        self._rows.clear()
        self.weight.grad = None

    def close(self) -> None:
        """Returns the table's gradients to torch."""
        self.clear()
        self._hook.remove()
        self._words.sparse = False
