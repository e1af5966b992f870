"""Gradients of embedding tables, added in place to the rows that a step has read.

torch gives a table of V rows a new gradient of V rows in every step, nearly all of it zeros to be
written. Here one buffer stays for the whole training: the backward pass adds its few rows, and
after the update only these are cleared. What clipping and the optimiser see is the same dense
gradient, and none where no row was read.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mtl_sharing.model.encoder.layers import Embeddings


class RowGradients:
    """The gradients of a network's word tables, on a CPU; a GPU writes its zeros fast enough.

    Args:
        dense: weights that also get gradients which reach every row, such as a tie's pull, or
            whose gradients are taken away between backward passes.
    """

    def __init__(self, network: nn.Module, dense: Iterable[Tensor] = ()) -> None:
        left = {id(weight) for weight in dense}
        words = [m.word for m in network.modules() if isinstance(m, Embeddings)]
        weights = [w for w in words if w.weight.requires_grad and id(w.weight) not in left]
        self.tables = [_Table(w) for w in weights if w.weight.device.type == "cpu"]

    def close(self) -> None:
        """Leaves the tables' gradients to torch again."""
        for table in self.tables:
            table.close()

    def clear(self) -> None:
        """Makes the tables ready for the next update."""
        for table in self.tables:
            table.clear()


class _Table:
    def __init__(self, words: nn.Embedding) -> None:
        words.sparse = True
        self._words = words
        self.weight, self._buffer = words.weight, torch.zeros_like(words.weight)
        self._read: list[Tensor] = []
        # Called before the gradient is added to what ``grad`` holds then.
        self.hook = self.weight.register_hook(self._note)

    def _note(self, grad: Tensor) -> None:
        self.weight.grad = self._buffer
        self._read.append(grad._indices()[0])

    def clear(self) -> None:
        """Clears the rows that were read."""
        for rows in self._read:
            self._buffer.index_fill_(0, rows, 0)
        self._read.clear()
        self.weight.grad = None

    def close(self) -> None:
        """Takes the hook away, and the buffer."""
        self.clear()
        self.hook.remove()
        self._words.sparse = False
