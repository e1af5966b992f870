"""Config group ``cache``. Without numpy, so that the command line starts fast."""

import os
from dataclasses import dataclass
from pathlib import Path

from mtl_sharing.errors import UserError, check_above


@dataclass
class CacheConfig:
    """The ``cache`` config group: what one run leaves on disk for others, outside its folder.

    A cache changes how long a run takes, never what it finds, rounding aside.

    Attributes:
        folder: where it lies; null is ``mtl-sharing`` in $XDG_CACHE_HOME, else in ``~/.cache``.
        max_gb: most that lies there, in 10^9 bytes; what was used longest ago goes first.
        tokens: keep tokenised text, its tags and its lemmas.
        prefix: keep the hidden states that frozen lower stages give each text.
    """

    folder: str | None = None
    max_gb: float = 20.0
    tokens: bool = True
    prefix: bool = True


def check_cache(config: CacheConfig) -> None:
    """Raises UserError for a folder that is none, or a bound that lets nothing in."""
    check_above("cache.max_gb", config.max_gb, 0)
    if config.folder is not None:
        allowed = "a folder, or null for the user's own cache"
        if not config.folder.strip() or "\0" in config.folder:
            raise UserError("cache.folder", repr(config.folder), allowed)
        try:
            Path(config.folder).expanduser()
        except RuntimeError as error:
            raise UserError("cache.folder", f"{config.folder} ({error})", allowed) from None


def cache_folder(config: CacheConfig) -> Path:
    """The folder that the config names, or the user's own.

    Raises:
        RuntimeError: the user has no home.
    """
    if config.folder is not None:
        return Path(config.folder).expanduser()
    given = os.environ.get("XDG_CACHE_HOME", "")
    # A relative one is to be ignored (XDG Base Directory Specification 0.8).
    place = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    return place / "mtl-sharing"
