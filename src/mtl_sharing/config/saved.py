"""The config of a run from the settings that it saved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf.errors import OmegaConfBaseException

from mtl_sharing.config.schema import Config, plain_config
from mtl_sharing.errors import UserError, first_line


def saved_config(path: Path, settings: Mapping[str, Any]) -> Config:
    """The config of these settings, in which nothing is resolved.

    Args:
        path: the file that holds them, for the message.

    Raises:
        UserError: an unknown key or a value of another type.
    """
    try:
        return plain_config(dict(settings))
    except (OmegaConfBaseException, TypeError, ValueError, RecursionError) as error:
        raise other_settings(path, first_line(error)) from None
    except UserError as error:
        raise other_settings(path, str(error)) from None


def other_settings(path: Path, reason: str) -> UserError:
    """The error for a run's file with settings of another version."""
    found = f"settings that this version does not read ({reason})"
    return UserError(str(path), found, "a run of this version; train it again")
