"""Where the numbers live and how wide they are: device, autocast, memory peaks."""

import contextlib
import ctypes
import resource
import sys
from pathlib import Path

import torch

from mtl_sharing.errors import UserError, one_of

PRECISIONS = ("auto", "fp32", "bf16")
# Below this hidden width casting costs a CPU more than its faster products save.
_BF16_WIDTH = 256


def choose_device(name: str) -> torch.device:
    """``auto`` (the GPU where there is one), ``cpu`` or ``cuda``.

    Raises:
        UserError: another name, or cuda on a machine without.
    """
    present = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if present else "cpu")
    if name not in ("cpu", "cuda"):
        raise UserError("trainer.device", name, "auto, cpu, cuda")
    if name == "cuda" and not present:
        raise UserError("trainer.device", "cuda, and torch sees no GPU here", "auto, cpu")
    return torch.device(name)


def choose_precision(name: str, device: torch.device, hidden: int) -> str:
    """``fp32`` or ``bf16``; ``auto`` takes bf16 where the hardware multiplies it natively.

    The choice depends on the hardware and the width alone, not on a measurement, so that equal
    seeds give equal results.

    Raises:
        UserError: an unknown name.
    """
    if name not in PRECISIONS:
        raise UserError("trainer.precision", name, one_of(PRECISIONS))
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native and hidden >= _BF16_WIDTH else "fp32"


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context in which forward passes run."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def reset_peak_memory(device: torch.device) -> None:
    """Starts a new peak: the allocator's on a GPU, the process's on a CPU (Linux only)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError, AttributeError):
        # What was freed goes back to the system first, or the next peak would hide in it.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak since :func:`reset_peak_memory` (since the start where it cannot)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        (line,) = [row for row in status.splitlines() if row.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    # Kilobytes on Linux, bytes on a Mac.
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
