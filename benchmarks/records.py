"""What contestants tell of their steps. No torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What a step amounts to, however it is done.

    Attributes:
        tokens: real ones, without padding.
        flops: of matrix products over the real tokens (see :mod:`benchmarks.flops`).
    """

    examples: int
    tokens: int
    flops: int


@dataclass(frozen=True)
class Turn:
    """Some steps of one contestant in a row.

    Attributes:
        seconds, loads: of each step.
        peak_bytes: peak memory of its process (of the allocator on a GPU) since set-up.
    """

    seconds: tuple[float, ...]
    loads: tuple[Load, ...]
    peak_bytes: int


@dataclass(frozen=True)
class Ready:
    """A contestant has set itself up.

    Attributes:
        how: what it chose: precision, and for a plain loop attention.
        seconds: of set-up, untimed steps included.
        resting_bytes: memory of its process just before its first step (0 on a GPU).
    """

    how: str
    seconds: float
    resting_bytes: int


@dataclass(frozen=True)
class Failed:
    """Why a contestant could not go on, in one line."""

    reason: str
