"""Errors in the words of a caller in Python."""

from collections.abc import Iterator
from contextlib import contextmanager

from mtl_sharing.errors import UserError


@contextmanager
def options_as_arguments() -> Iterator[None]:
    """Within the block a UserError names an argument, such as ``out``, in place of ``--out``."""
    try:
        yield
    except UserError as error:
        if not error.where.startswith("--"):
            raise
        where = error.where.removeprefix("--").replace("-", "_")
        raise UserError(where, error.found, error.allowed) from None
