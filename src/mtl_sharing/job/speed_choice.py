"""The rule by which timed steps decide on the threads and the precision of a run."""

from dataclasses import dataclass

from mtl_sharing.job.timing import StepSeconds

BF16_GAIN = 1.2
"""bf16 must be this much faster than fp32 to be chosen."""
_THREADS_GAIN = 1.5


@dataclass(frozen=True)
class SpeedChoice:
    """Threads and precision of a run, with the comparison that led to them."""

    precision: str
    threads: int
    reason: str

    def __str__(self) -> str:
        return f"{self.precision} on {threads_text(self.threads)}: {self.reason}"


def threads_text(threads: int) -> str:
    """The number of threads in words, such as ``2 threads``."""
    return f"{threads} thread{'' if threads == 1 else 's'}"


def choose(seconds: StepSeconds) -> SpeedChoice:
    """Chooses bf16, and more threads than one, only for a clear gain.

    Threads that gain little cost much beside other busy processes, for which they wait at the end
    of every operation.
    """
    best = {threads: _best_precision(seconds, threads) for _, threads in seconds}
    threads, reasons = max(best), []
    if threads > 1 and 1 in best:
        gain = seconds[best[1], 1] / seconds[best[threads], threads]
        reasons.append(f"{threads_text(threads)} gain {gain:.2f}")
        threads = threads if gain >= _THREADS_GAIN else 1
    elif threads > 1:
        reasons.append("its steps are long enough for all threads")
    precision = best[threads]
    own = seconds[precision, threads]
    ratios = {n: other / own for (n, t), other in seconds.items() if t == threads if n != precision}
    reasons[:0] = [f"{name} takes {ratio:.2f} of its time" for name, ratio in ratios.items()]
    return SpeedChoice(precision, threads, ", ".join(reasons))


def _best_precision(seconds: StepSeconds, threads: int) -> str:
    times = {name: time for (name, count), time in seconds.items() if count == threads}
    if len(times) == 1:
        return next(iter(times))
    return "bf16" if times["fp32"] / times["bf16"] >= BF16_GAIN else "fp32"
