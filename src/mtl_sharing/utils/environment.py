"""Installed packages, and the versions and the git commit that a run was made with."""

import importlib.util
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mtl_sharing.errors import UserError

_PACKAGES = ("torch", "hydra-core", "omegaconf", "optuna", "tokenizers", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Versions of Python, this project and the packages that affect a result."""
    own = {"python": platform.python_version(), "mtl-sharing": version("mtl-sharing")}
    return own | {name: version(name) for name in _PACKAGES}


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that holds ``folder``, and whether it has changes; None outside."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return finished.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def check_package(where: str, value: str, package: str, extra: str) -> None:
    """Raises UserError, naming the project's extra that installs it, if a package is missing.

    The config field ``where`` needs the package for its value.
    """
    if importlib.util.find_spec(package) is None:
        found = f"{value}, and {package} is not installed"
        raise UserError(where, found, f"it after: pip install 'mtl-sharing[{extra}]'")
