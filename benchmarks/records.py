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
        peak_bytes: peak memory of its process (of the allocator on a GPU) since its warm-up began.
    """

    seconds: tuple[float, ...]
    work: tuple[StepWork, ...]
    peak_bytes: int

    def __add__(self, later: "Round") -> "Round":
        peak = max(self.peak_bytes, later.peak_bytes)
        return Round(self.seconds + later.seconds, self.work + later.work, peak)


@dataclass(frozen=True)
class Ready:
    """A worker has finished its set-up.

    Attributes:
        how: chosen precision, and for a plain loop the attention function.
        seconds: duration of the set-up, the warm-up included.
        warm_up_s: duration of the project's warm-up before its first step; 0 for other loops.
        resting_bytes: memory of its process before the warm-up (0 on a GPU).
    """

    how: str
    seconds: float
    warm_up_s: float
    resting_bytes: int


@dataclass(frozen=True)
class Failure:
    """The error of a worker, in one line."""

    reason: str
