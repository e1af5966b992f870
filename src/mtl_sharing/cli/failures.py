"""What went wrong, in one message: the user's mistakes, Hydra's complaints, a full disk."""

import re
from dataclasses import fields, is_dataclass
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from mtl_sharing.config import Config
from mtl_sharing.errors import UserError, did_you_mean

MISTAKE, INTERRUPTED = 2, 130


def explain(error: BaseException) -> tuple[int, str | None]:
    """Exit code and message for an error; no message for one that is not the user's."""
    if isinstance(error, UserError):
        return MISTAKE, str(error)
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return MISTAKE, _config_message(error)
    if isinstance(error, OSError):
        name = error.filename or "output folder"
        allowed = "a place that can be written and has room"
        return MISTAKE, str(UserError(str(name), error.strerror or error, allowed))
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Stopped":
        return INTERRUPTED, f"stopped{_how_to_go_on(error)}"
    return 1, None


def _how_to_go_on(error: BaseException) -> str:
    words = str(error)
    return f"; go on with: mtl-train resume={words}" if words else ""


def _config_message(error: Exception) -> str:
    """Hydra's own words, with the nearest known key where one is unknown."""
    words = " ".join(_root_words(error).split())
    unknown = re.search(r"Key '([^']+)' (?:is )?not in", words)
    if unknown is None:
        return words
    path = _full_key(error, unknown[1])
    parent, _, key = path.rpartition(".")
    known = known_keys(parent)
    where = path if parent else key
    return str(UserError(where, f"an unknown key{did_you_mean(key, known)}", ", ".join(known)))


def _root_words(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return f"{error.full_key}: {str(error).splitlines()[0]}"
    words = str(error)
    if isinstance(cause, OmegaConfBaseException):
        words += f" {str(cause).splitlines()[0]}"
    return words


def _full_key(error: Exception, key: str) -> str:
    for each in (error, error.__cause__):
        full = getattr(each, "full_key", None)
        if full:
            return str(full)
    return key


def known_keys(parent: str) -> list[str]:
    """The keys that the config has under ``parent`` (dotted; empty for the root)."""
    node: Any = Config()
    for name in parent.split(".") if parent else ():
        node = getattr(node, name, None)
    return [field.name for field in fields(node)] if is_dataclass(node) else []
