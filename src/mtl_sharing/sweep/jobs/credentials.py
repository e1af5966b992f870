"""Keeps the study's URL, which may hold a password, out of everything that Hydra writes.

Hydra saves the words of the command line and the composed config beside every job, and launchers
pickle them. So a URL that is written out is moved into an environment variable before Hydra sees
it, and the name of the variable takes its place. JobPool inherit the variable.
"""

import os
import re
from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

VARIABLE = "MTL_SHARING_STORAGE"
KEY = "hydra.sweeper.storage"
_STANDS_FOR_IT = f"${{oc.env:{VARIABLE}}}"
_OR_SQLITE = f"${{oc.env:{VARIABLE},null}}"
_WORD = re.compile(rf"(?P<key>\+{{0,2}}{re.escape(KEY)})=(?P<value>.*)", re.DOTALL)


def hide_storage(words: Sequence[str]) -> list[str]:
    """Command line words, with the variable's name in the place of a URL."""
    return [_hidden(word) for word in words]


def _hidden(word: str) -> str:
    found = _WORD.fullmatch(word)
    if found is None:
        return word
    value = found["value"].strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    if not _is_literal(value):
        return word
    os.environ[VARIABLE] = value
    return f"{found['key']}={_STANDS_FOR_IT}"


def _is_literal(value: Any) -> bool:
    return isinstance(value, str) and value not in ("", "null") and "${" not in value


def hide_storage_of(config: DictConfig) -> None:
    """Does the same with a URL from a config file, in ``config`` and what is composed from it.

    A preset's "the variable, or else SQLite" loses its second half where the variable is set: a
    job that did not inherit it would look for its trial in a study of its own.
    """
    found: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
    storage = found.get("storage")
    if _is_literal(storage):
        os.environ[VARIABLE] = storage
    elif storage != _OR_SQLITE or not os.environ.get(VARIABLE):
        return
    settle(config, KEY, _STANDS_FOR_IT)


def settle(config: DictConfig, key: str, value: Any) -> None:
    """Gives a key of Hydra's another value, in a sweep's config and those of all its jobs.

    A job's config is composed anew from the overrides, and must then equal the sweep's.
    """
    with read_write(config), read_write(config.hydra), open_dict(config):
        OmegaConf.update(config, key, value)
        config.hydra.overrides.hydra.append(f"{key}={value}")
    # It holds a copy, which launchers pickle.
    HydraConfig.instance().set_config(config)
