"""How many threads a CPU's matrix products are given."""

import math
import os
from contextlib import suppress
from pathlib import Path

import torch

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
