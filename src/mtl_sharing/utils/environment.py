"""Installed packages and their versions."""

import importlib.util
import platform
from importlib.metadata import version

from mtl_sharing.errors import UserError

_PACKAGES = ("torch", "hydra-core", "omegaconf", "optuna", "tokenizers", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Versions of Python, this project and the packages that affect a result."""
    own = {"python": platform.python_version(), "mtl-sharing": version("mtl-sharing")}
    return own | {name: version(name) for name in _PACKAGES}


def check_package(where: str, value: str, package: str, extra: str) -> None:
    """Raises UserError, naming the project's extra that installs it, if a package is missing.

    The config field ``where`` needs the package for its value.
    """
    if importlib.util.find_spec(package) is None:
        found = f"{value}, and {package} is not installed"
        raise UserError(where, found, f"it after: pip install 'mtl-sharing[{extra}]'")
