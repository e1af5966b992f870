"""Wall time of a piece of work, the GPU's included."""

import time
from collections.abc import Callable

import torch


def timed(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds of ``work``, from an idle device to an idle device."""
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
