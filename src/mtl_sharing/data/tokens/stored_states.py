"""Hidden states stored in a file, for batches that skip the frozen lower layers."""

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
"""The type of stored values for each precision. numpy has no bf16, so its bits are stored."""


@dataclass(eq=False)
class StateFile:
    """Whether the states of one file are valid, shared by everything that reads the file.

    ``on_damage`` is called once, at the first wrong checksum.
    """

    on_damage: Callable[[], None]
    valid: bool = True

    def invalidate(self) -> None:
        """Marks the states as damaged."""
        if self.valid:
            self.valid = False
            self.on_damage()


@dataclass(frozen=True, eq=False)
class StoredStates:
    """States of many sequences in one array; each is compared with its checksum when read.

    Attributes:
        values: one of :data:`STORED`, shape (rows of all sequences, H).
        offsets: the rows of sequence ``i`` are ``offsets[i]:offsets[i + 1]``; shape (sequences+1,).
        sums: checksum of each sequence's bytes, uint32, shape (sequences,).
        numbers: which of the sequences these are, in their order.
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]
    sums: NDArray[np.uint32]
    numbers: NDArray[np.int64]
    file: StateFile

    def take(self, rows: NDArray[np.int64]) -> "StoredStates":
        """The sequences with these numbers."""
        return replace(self, numbers=self.numbers[rows])

    def read(self, rows: NDArray[np.int64]) -> Tensor | None:
        """States of these sequences, concatenated; None once a checksum was wrong."""
        if not self.file.valid:
            return None
        numbers = self.numbers[rows].tolist()
        # Copied before the checksum: another process may write to the file meanwhile.
        states = [self.values[self.offsets[n] : self.offsets[n + 1]].copy() for n in numbers]
        _release_pages(self.values)
        if any(checksum(part) != self.sums[n] for n, part in zip(numbers, states, strict=True)):
            self.file.invalidate()
            return None
        return to_tensor(np.concatenate(states))


def _release_pages(values: NDArray[Any]) -> None:
    """Releases mapped pages, so that they do not count towards this process's memory.

    They stay in the system's page cache.
    """
    base: object = values
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap):
        base.madvise(MADV_DONTNEED)


def checksum(states: NDArray[Any]) -> int:
    """CRC-32 of one sequence's bytes, with 1 in place of 0."""
    # Zeros in an array of checksums, as a lost page of its file has, then match no states.
    return crc32(states.data) or 1


def to_tensor(values: NDArray[Any]) -> Tensor:
    """Stored values as a float32 or bfloat16 tensor."""
    if values.dtype == STORED["bf16"]:
        return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(values)


def to_array(states: Tensor, precision: str) -> NDArray[Any]:
    """The stored form of states on a CPU."""
    if precision == "bf16":
        return states.bfloat16().view(torch.int16).numpy().view(STORED["bf16"])
    return states.float().numpy()
