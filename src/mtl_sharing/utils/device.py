"""Where the numbers live and how wide they are: device, autocast, memory peaks."""

import contextlib
import ctypes
import math
import os
import re
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import torch

from mtl_sharing.errors import UserError, one_of

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
# Before any run of this process has set its own.
_USUAL = torch.get_num_threads()


def set_threads(wanted: int | None) -> None:
    """Gives torch ``wanted`` threads; None is one for each core that this process may use.

    More threads than cores wait for each other in every product. torch counts the machine's
    cores; a container's quota, which it does not know, is read here. OMP_NUM_THREADS is kept.
    """
    if wanted is not None:
        torch.set_num_threads(wanted)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(_USUAL, usable_cores()))


def usable_cores(quota: Path = _QUOTA) -> int:
    """Cores that this process may use: its affinity, and its control group's quota (Linux)."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        microseconds, period = quota.read_text().split()
        cores = min(cores, math.ceil(int(microseconds) / int(period)))
    return max(1, cores)


PRECISIONS = ("auto", "fp32", "bf16")
# bf16 must be this much faster than fp32 to be chosen.
_CLEAR_GAIN = 1.3
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TRIAL_ROWS, _TRIAL_ROUNDS = 512, 7


def choose_device(name: str) -> torch.device:
    """``auto`` (the GPU where there is one), ``cpu``, ``cuda``, or a GPU's number: ``cuda:1``.

    Raises:
        UserError: another name, or a GPU that is not there.
    """
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if present else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UserError("trainer.device", name, "auto, cpu, cuda, cuda:0 and so on")
    if name != "cpu" and (torch.device(name).index or 0) >= present:
        seen = f"{present} GPUs" if present else "no GPU"
        raise UserError("trainer.device", f"{name}, and torch sees {seen} here", "auto, cpu")
    return torch.device(name)


def use_device(device: torch.device) -> None:
    """Makes one of several GPUs the one that random numbers and names are asked of."""
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)


def choose_precision(name: str, device: torch.device, hidden: int) -> str:
    """``fp32`` or ``bf16``; ``auto`` takes bf16 where this hardware multiplies it faster.

    A GPU tells. A CPU is tried for some milliseconds, since the instruction alone says little: two
    processors that both have it were seen at 2.2 times and at half of the speed of fp32.

    Args:
        hidden: width of the encoder, whose products are tried.

    Raises:
        UserError: an unknown name.
    """
    if name not in PRECISIONS:
        raise UserError("trainer.precision", name, one_of(PRECISIONS))
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if _bf16_gain(hidden, torch.get_num_threads()) >= _CLEAR_GAIN else "fp32"


# Once in a process: runs of a sweep that differ in nothing else must not differ in this.
@cache
def _bf16_gain(hidden: int, threads: int) -> float:
    """How many times as fast as fp32 this CPU multiplies bf16, at the feed-forward's shape.

    Other processes disturb a clock for some rounds, or all rounds of one of the two: of the median
    of the rounds' ratios and the ratio of the fastest rounds the smaller one counts.
    """
    pairs = {
        dtype: (
            torch.ones(_TRIAL_ROWS, hidden, dtype=dtype),
            torch.ones(hidden, 4 * hidden, dtype=dtype),
        )
        for dtype in (torch.float32, torch.bfloat16)
    }
    rounds = [
        {dtype: _seconds(*pair) for dtype, pair in pairs.items()} for _ in range(_TRIAL_ROUNDS)
    ]
    narrow, wide = ([one[d] for one in rounds[1:]] for d in (torch.bfloat16, torch.float32))
    ratios = [w / n for w, n in zip(wide, narrow, strict=True)]
    return min(median(ratios), min(wide) / min(narrow))


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    began = time.perf_counter()
    for _ in range(3):
        left @ right
    return time.perf_counter() - began


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context in which forward passes run."""
    assert precision in ("fp32", "bf16"), "choose_precision comes first"
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def keep_freed_memory() -> None:
    """Lets the process keep the memory that it frees (glibc only; elsewhere nothing changes).

    By default every tensor of some hundred kilobytes is taken from the system and given back each
    time: the system clears its pages anew in every step.
    """
    with contextlib.suppress(OSError, AttributeError):
        c = ctypes.CDLL(None)
        c.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        c.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def reset_peak_memory(device: torch.device) -> None:
    """Starts a new peak: the allocator's on a GPU, the process's on a CPU (Linux only)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError, AttributeError):
        # What was freed goes back to the system first, or the next peak would hide in it.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak since :func:`reset_peak_memory` (since the start where it cannot)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        (line,) = [row for row in status.splitlines() if row.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    # Kilobytes on Linux, bytes on a Mac.
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


@dataclass(frozen=True)
class Runtime:
    """Where and how forward passes run."""

    device: torch.device
    precision: str
    evaluation_batch: int
