"""Device, threads, precision and memory of a run."""

import ctypes
import logging
import math
import os
import platform
import re
import resource
import sys
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from mtl_sharing.errors import UserError

log = logging.getLogger(__name__)

PRECISIONS = ("auto", "fp32", "bf16")
DEFAULT_THREADS = torch.get_num_threads()
"""torch's own choice, before a run of this process sets another number."""
_CGROUP_QUOTA, _CPUINFO = Path("/sys/fs/cgroup/cpu.max"), Path("/proc/cpuinfo")
# Constants of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TIMED_ROWS, _TIMED_ROUNDS = 512, 7


@dataclass(frozen=True)
class Runtime:
    """Device, precision and batch size of forward passes."""

    device: torch.device
    precision: str
    evaluation_batch: int

    @property
    def composed(self) -> bool:
        """Whether training batches are composed for a ladder of sizes.

        It follows from the precision alone, so that a run resumed on another device goes on with
        the same batches.
        """
        return self.precision == "bf16"

    @property
    def steady(self) -> bool:
        """Whether matrix products are much faster in shapes that they have met before."""
        # oneDNN compiles its bf16 kernels shape by shape; fp32 ones of a CPU come compiled.
        return self.device.type == "cpu" and self.precision == "bf16"


def choose_device(name: str) -> torch.device:
    """Resolves ``auto`` (the GPU where there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises UserError for another name, or a GPU that is not there.
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
    """Makes one of several GPUs torch's current device."""
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)


def set_threads(threads: int | None) -> None:
    """Sets torch's number of threads; None is :func:`default_threads`."""
    torch.set_num_threads(default_threads() if threads is None else threads)


def default_threads() -> int:
    """One thread for each core that this process may use, or OMP_NUM_THREADS.

    More threads than cores wait for each other in every product. torch counts the machine's
    cores and ignores a container's quota, which is read here.
    """
    return DEFAULT_THREADS if threads_are_given() else min(DEFAULT_THREADS, usable_cores())


def threads_are_given() -> bool:
    """Whether the environment sets the number of threads, as OpenMP reads it (such as ``4,2``)."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return first.isdecimal() and int(first) > 0


def most_threads() -> int:
    """The largest number of threads that a run may ask for."""
    return max(usable_cores(), DEFAULT_THREADS) if threads_are_given() else usable_cores()


def usable_cores(quota: Path = _CGROUP_QUOTA) -> int:
    """Cores that this process may use: its affinity, and its control group's quota (Linux)."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        microseconds, period = quota.read_text().split()
        cores = min(cores, math.ceil(int(microseconds) / int(period)))
    return max(1, cores)


def choose_precision(name: str, device: torch.device) -> str:
    """Resolves ``auto`` on a GPU, which reports its support; on a CPU timed steps decide.

    Raises:
        UserError: bf16 on a GPU that lacks it.
    """
    supported = name == "fp32" or has_bf16(device)
    if device.type != "cuda":
        if name == "bf16" and not supported:
            log.warning("trainer.precision=bf16: %s has no instructions for it, and takes longer "
                        "than in fp32", processor_name())  # fmt: skip
        return name
    if name == "bf16" and not supported:
        found = f"bf16, which {device_name(device)} lacks"
        raise UserError("trainer.precision", found, "fp32, or auto")
    return "bf16" if name != "fp32" and supported else "fp32"


def has_bf16(device: torch.device, cpuinfo: Path = _CPUINFO) -> bool:
    """Whether a device multiplies bf16 by itself; also true of a CPU that does not say."""
    if device.type == "cuda":
        with torch.cuda.device(device):  # torch asks the current one
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    flags: set[str] = set()
    with suppress(OSError):
        flags = set(cpuinfo.read_text(encoding="utf-8").split())
    is_known = not flags.isdisjoint({"sse2", "asimd"})
    return not is_known or not flags.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def bf16_speedup(hidden: int) -> float:
    """Speed of bf16 over that of fp32 on this CPU, at the feed-forward's shape.

    Support alone says little: of two processors with the instruction one ran bf16 at 2.2 times, the
    other at half of the speed of fp32.

    Other processes may disturb the clock for some rounds, or for all rounds of one type. The
    result is the smaller of the median ratio of the rounds and the ratio of the fastest rounds.
    """
    shapes = (_TIMED_ROWS, hidden), (hidden, 4 * hidden)
    types = torch.float32, torch.bfloat16
    factors = {d: [torch.ones(shape, dtype=d) for shape in shapes] for d in types}
    rounds = [{d: time_product(*pair) for d, pair in factors.items()} for _ in range(_TIMED_ROUNDS)]
    # The first round warms up.
    bf16, fp32 = ([seconds[d] for seconds in rounds[1:]] for d in (torch.bfloat16, torch.float32))
    ratios = [wide / narrow for narrow, wide in zip(bf16, fp32, strict=True)]
    return min(median(ratios), min(fp32) / min(bf16))


def time_product(left: Tensor, right: Tensor) -> float:
    """Seconds that three products of two matrices take."""
    start = time.perf_counter()
    for _ in range(3):
        left @ right
    return time.perf_counter() - start


@cache
def processor_name() -> str:
    """The CPU's model."""
    model = platform.processor() or platform.machine()
    with suppress(OSError), _CPUINFO.open(encoding="utf-8") as file:
        models = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
        model = next(models, model)
    return model


def device_name(device: torch.device) -> str:
    """The model of the GPU, or of the CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context in which forward passes run."""
    assert precision in ("fp32", "bf16"), "autotune comes first"
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def keep_freed_memory() -> None:
    """Lets the process keep the memory that it frees (glibc only, elsewhere without effect).

    By default glibc returns every tensor of some hundred kilobytes to the system when it is freed,
    and the system clears its pages anew in every step.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def seed_random(seed: int, device: torch.device) -> None:
    """Seeds torch's random numbers on the CPU and on ``device``, the current one of its kind."""
    # Not torch.manual_seed: without a GPU it stores each call with a stack trace, and takes 0.5 ms.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def reset_peak_memory(device: torch.device) -> None:
    """Starts a new peak: the allocator's on a GPU, the process's on a CPU (Linux only)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError, AttributeError):
        # Freed memory that the process still holds would hide the next peak.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak since :func:`reset_peak_memory`, or since the start without support."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        status = Path("/proc/self/status").read_text()
        (line,) = [row for row in status.splitlines() if row.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    # Kilobytes on Linux, bytes on a Mac.
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
