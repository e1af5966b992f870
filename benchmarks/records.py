"""Messages of a worker process. No torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepWork:
    """The work of a step, independent of the implementation.

    Attributes:
        tokens: real tokens, without padding.
        flops: operations of matrix products over the real tokens (see :mod:`benchmarks.flops`).
    """

    examples: int
    tokens: int
    flops: int


@dataclass(frozen=True)
class Round:
    """Consecutive steps of one worker.

    Attributes:
        seconds, work: for each step.
        peak_bytes: peak memory of its process (of the allocator on a GPU) since set-up.
    """

    seconds: tuple[float, ...]
    work: tuple[StepWork, ...]
    peak_bytes: int


@dataclass(frozen=True)
class Ready:
    """A worker has finished its set-up.

    Attributes:
        how: chosen precision, and for a plain loop the attention function.
        seconds: duration of the set-up with its untimed steps.
        resting_bytes: memory of its process just before its first step (0 on a GPU).
    """

    how: str
    seconds: float
    resting_bytes: int


@dataclass(frozen=True)
class Failure:
    """The error of a worker, in one line."""

    reason: str
