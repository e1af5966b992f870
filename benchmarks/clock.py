"""Wall time of a piece of work, the GPU's included."""

import time
from collections.abc import Callable

import torch


def timed(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds of ``work``, from an idle device to an idle device."""
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
