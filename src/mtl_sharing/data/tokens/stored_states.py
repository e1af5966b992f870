"""Hidden states that lie in a file, for batches whose lower layers need not run again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from mmap import MADV_DONTNEED, mmap
from typing import Any
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STORED: dict[str, np.dtype[Any]] = {"fp32": np.dtype("<f4"), "bf16": np.dtype("<u2")}
"""How states of each precision lie in a file; numpy knows no bf16, so its bits are kept."""


@dataclass(eq=False)
class StateFile:
    """Whether stored states can be trusted, for all that read the same file.

    Attributes:
        on_damage: called once, when a sum turns out wrong.
    """

    on_damage: Callable[[], None]
    good: bool = True

    def lose(self) -> None:
        """Marks the states as damaged."""
        if self.good:
            self.good = False
            self.on_damage()


@dataclass(frozen=True, eq=False)
class StoredStates:
    """States of many sequences in one array, each held against its sum when it is read.

    Attributes:
        values: one of :data:`STORED`, shape (rows of all sequences, H).
        offsets: the rows of sequence ``i`` are ``offsets[i]:offsets[i + 1]``; shape (sequences+1,).
        sums: checksum of each sequence's bytes, uint32, shape (sequences,).
        numbers: which of the sequences these are, in their order.
        health: shared by all selections of the same file.
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]
    sums: NDArray[np.uint32]
    numbers: NDArray[np.int64]
    health: StateFile

    def take(self, rows: NDArray[np.int64]) -> "StoredStates":
        """The sequences with these numbers."""
        return replace(self, numbers=self.numbers[rows])

    def read(self, rows: NDArray[np.int64]) -> Tensor | None:
        """States of these sequences, one after the other; None once any were found damaged."""
        if not self.health.good:
            return None
        numbers = self.numbers[rows].tolist()
        # Copied before they are summed: another process may write the file meanwhile.
        found = [self.values[self.offsets[n] : self.offsets[n + 1]].copy() for n in numbers]
        _forget(self.values)
        if any(checksum(one) != self.sums[n] for n, one in zip(numbers, found, strict=True)):
            self.health.lose()
            return None
        return to_tensor(np.concatenate(found))


def _forget(values: NDArray[Any]) -> None:
    """Lets go of the pages that reading has mapped; they stay in the system's own cache.

    Else the whole file would count as this process's memory in the end, and in its peak.
    """
    base: object = values
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap):
        base.madvise(MADV_DONTNEED)


def checksum(states: NDArray[Any]) -> int:
    """A sum of one sequence's bytes; never 0, which stands for states that are not there yet."""
    return crc32(states.data) or 1


def to_tensor(values: NDArray[Any]) -> Tensor:
    """Stored values as float32 or bfloat16."""
    if values.dtype == STORED["bf16"]:
        return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(values)


def to_array(states: Tensor, precision: str) -> NDArray[Any]:
    """States on a CPU as they are stored."""
    if precision == "bf16":
        return states.bfloat16().view(torch.int16).numpy().view(STORED["bf16"])
    return states.float().numpy()
