"""Optional packages and the extras that install them."""

import importlib.util

from mtl_sharing.errors import UserError


def check_package(where: str, value: str, package: str, extra: str) -> None:
    """Raises UserError, with the command that installs it, if a package is missing.

    Args:
        where: the config field that needs it.
        value: the field's value.
        extra: the project's extra that contains the package.
    """
    if importlib.util.find_spec(package) is None:
        found = f"{value}, and {package} is not installed"
        raise UserError(where, found, f"it after: pip install 'mtl-sharing[{extra}]'")
