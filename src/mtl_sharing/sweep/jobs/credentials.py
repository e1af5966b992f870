"""Keeps the study's URL, which may hold a password, out of all files that Hydra writes.

Hydra saves the command line and the composed config beside every job, and launchers pickle them.
A literal URL is therefore moved into an environment variable before Hydra reads it, and a
reference to the variable replaces it. Jobs inherit the variable.
"""

import os
import re
from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

VARIABLE = "MTL_SHARING_STORAGE"
KEY = "hydra.sweeper.storage"
_REFERENCE = f"${{oc.env:{VARIABLE}}}"
_OR_SQLITE = f"${{oc.env:{VARIABLE},null}}"
_OVERRIDE = re.compile(
    rf"(?P<key>\+{{0,2}}{re.escape(KEY)})=\s*(?P<quote>['\"]?)(?P<url>.*?)(?P=quote)\s*", re.DOTALL
)


def hide_storage(arguments: Sequence[str]) -> list[str]:
    """The command line's arguments, with a literal URL replaced."""
    hidden = list(arguments)
    for position, override in enumerate(map(_OVERRIDE.fullmatch, arguments)):
        if override is not None and _is_literal(override["url"]):
            os.environ[VARIABLE] = override["url"]
            hidden[position] = f"{override['key']}={_REFERENCE}"
    return hidden


def _is_literal(value: Any) -> bool:
    return isinstance(value, str) and value not in ("", "null") and "${" not in value


def hide_storage_of(config: DictConfig) -> None:
    """Replaces a URL from a config file, in ``config`` and in the configs composed from it.

    A preset's "the variable, or else SQLite" loses its second half where the variable is set: a
    job that did not inherit it would look for its trial in a study of its own.
    """
    sweeper: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
    storage = sweeper.get("storage")
    if _is_literal(storage):
        os.environ[VARIABLE] = storage
    elif storage != _OR_SQLITE or not os.environ.get(VARIABLE):
        return
    set_hydra_key(config, KEY, _REFERENCE)


def set_hydra_key(config: DictConfig, key: str, value: Any) -> None:
    """Sets a key of Hydra's own, in a sweep's config and in those of all its jobs.

    A job's config is composed anew from the overrides, and must equal the sweep's.
    """
    with read_write(config), read_write(config.hydra), open_dict(config):
        OmegaConf.update(config, key, value)
        config.hydra.overrides.hydra.append(f"{key}={value}")
    # It holds a copy, which launchers pickle.
    HydraConfig.instance().set_config(config)
