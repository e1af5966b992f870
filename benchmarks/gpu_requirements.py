"""What the GPU check needs: packages, and a CUDA device that runs the flash attention kernel."""

import re
import sys
from collections.abc import Callable
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.uninstalled import ROOT

FLASH_CAPABILITY = (8, 0)
"""Lowest compute capability of the flash attention kernel."""

# packaging reads the versions here, and comes with nearly everything.
_MORE = ("packaging", "pytest")
PLAIN_ONLY = "transformers"
"""Package that only the plain loops need."""

Installed = Callable[[str], str | None]


def installed_version(name: str) -> str | None:
    """The version of an installed distribution; None without it."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def package_problems(installed: Installed = installed_version) -> list[str]:
    """A line for each package that is missing or of a version that does not fit."""
    return [line for text in requirements() if (line := _problem(text, installed))]


def requirements() -> list[str]:
    """The requirements of a run (setup.cfg), of its tests and of this module."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return [*setup["options"]["install_requires"].split("\n")[1:], *_MORE]


def _problem(text: str, installed: Installed) -> str | None:
    name = re.split("[^\\w-]", text)[0]
    allowed, found = text.removeprefix(name) or "any version", installed(name)
    if found is None:
        return f"{name}: not installed; allowed: {allowed}"
    if installed("packaging") is None:  # missing itself, which has a line of its own
        return None
    from packaging.specifiers import SpecifierSet

    fits = SpecifierSet(text.removeprefix(name)).contains(found, prereleases=True)
    return None if fits else f"{name}: found {found}; allowed: {allowed}"


def device_problem(torch: Any) -> str | None:
    """Why this torch cannot run the check here, in one line; None if it can."""
    if torch.version.cuda is None:
        return f"torch: found {torch.__version__}, without CUDA; allowed: a build with CUDA"
    if not torch.cuda.is_available():
        return (
            f"device: torch {torch.__version__} (CUDA {torch.version.cuda}) sees no CUDA device; "
            "allowed: one, with a driver for this CUDA version"
        )
    capability = torch.cuda.get_device_capability()
    if capability < FLASH_CAPABILITY:
        name = torch.cuda.get_device_name()
        found, least = (".".join(map(str, pair)) for pair in (capability, FLASH_CAPABILITY))
        return f"device: found {name}, compute capability {found}; allowed: {least} or higher"
    if not hasattr(torch.ops.aten, "_flash_attention_forward"):
        return f"torch: found {torch.__version__}, without aten._flash_attention_forward"
    return _probe(torch)


def _probe(torch: Any) -> str | None:
    """The error of the smallest flash attention forward and backward pass."""
    try:
        rows = torch.ones(3, 1, 8, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        ends = torch.tensor([0, 1, 3], device="cuda", dtype=torch.int32)
        outputs = torch.ops.aten._flash_attention_forward(
            rows, rows, rows, ends, ends, 2, 2, 0.0, False, False, scale=1.0
        )
        outputs[0].float().sum().backward()
        torch.cuda.synchronize()
    except Exception as error:  # a missing kernel, a driver that is too old, a full device
        line = str(error).strip().partition("\n")[0]
        return f"flash attention: {type(error).__name__}: {line}"
    return None


def describe(torch: Any) -> str:
    """One line with the device and the versions that decide."""
    capability = ".".join(map(str, torch.cuda.get_device_capability()))
    memory = torch.cuda.get_device_properties(0).total_memory / 1e9
    plain = installed_version(PLAIN_ONLY)
    return (
        f"{torch.cuda.get_device_name()}, compute capability {capability}, {memory:.0f} GB, "
        f"torch {torch.__version__}, CUDA {torch.version.cuda}, "
        f"python {sys.version.split()[0]}, {PLAIN_ONLY} {plain or 'not installed'}"
    )
