"""Config group ``cache``. Without numpy, so that the command line starts fast."""

import os
from dataclasses import dataclass
from pathlib import Path

from mtl_sharing.errors import UserError, check_above
from mtl_sharing.utils.files import expand_user

_MOST_GB = 1e9  # more than any disk; a bound in bytes must be a number that a file system knows


@dataclass
class CacheConfig:
    """The ``cache`` config group: files that runs share, outside their folders.

    The cache changes the time of a run and no result, rounding aside.

    Attributes:
        folder: null is ``mtl-sharing`` in $XDG_CACHE_HOME, else in ``~/.cache``.
        max_gb: bound on its size, in 10^9 bytes; the least recently used entries are removed
            first. Baselines have a bound of the same size of their own.
        tokens: keep tokenised text, its tags and its lemmas.
        prefix: keep the hidden states of texts above the frozen lower stages.
    """

    folder: str | None = None
    max_gb: float = 20.0
    tokens: bool = True
    prefix: bool = True


def check_cache(config: CacheConfig) -> None:
    """Raises UserError for a folder that cannot exist, or a bound of 0."""
    check_above("cache.max_gb", config.max_gb, 0)
    if config.max_gb > _MOST_GB:
        raise UserError("cache.max_gb", config.max_gb, f"up to {_MOST_GB:g}")
    if config.folder is not None:
        allowed = "a folder, or null for the user's own cache"
        if not config.folder.strip() or "\0" in config.folder:
            raise UserError("cache.folder", repr(config.folder), allowed)
        expand_user("cache.folder", config.folder)


def cache_folder(config: CacheConfig) -> Path:
    """The folder that the config names, or the user's; raises RuntimeError without a home."""
    if config.folder is not None:
        return Path(config.folder).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path must be ignored (XDG Base Directory Specification 0.8).
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "mtl-sharing"
