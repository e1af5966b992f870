"""Optional packages and the extras that install them."""

import importlib.util

from mtl_sharing.errors import UserError


def check_package(where: str, wanted: str, package: str, extra: str) -> None:
    """Raises UserError, with the command that installs it, where a package is missing.

    Args:
        where: the config field that needs it.
        wanted: what stands there.
        extra: the project's extra that brings the package.
    """
    if importlib.util.find_spec(package) is None:
        found = f"{wanted}, and {package} is not installed"
        raise UserError(where, found, f"it after: pip install 'mtl-sharing[{extra}]'")
