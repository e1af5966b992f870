"""Keeps the study's URL, which may hold a password, out of all files that Hydra writes.

Hydra saves the command line and the composed config beside every job, and launchers pickle them.
A URL is therefore moved into an environment variable, and a reference to the variable replaces it:
on the command line before Hydra reads it, and in what Hydra composes from files. Jobs inherit the
variable.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf._utils import split_key
from omegaconf.errors import OmegaConfBaseException

from mtl_sharing.errors import UserError
from mtl_sharing.utils.nested import flatten

VARIABLE = "MTL_SHARING_STORAGE"
KEY = "hydra.sweeper.storage"
_REFERENCE = f"${{oc.env:{VARIABLE}}}"
_OR_SQLITE = f"${{oc.env:{VARIABLE},null}}"
# A reference that holds no part of a URL itself.
_ONLY_REFERENCE = re.compile(r"\$\{[^@/{}]*\}")
# User and password in a URL, also one that is not written as it should be.
_USER = re.compile(r"(?<=://)\S*@")


def hide_storage(arguments: Sequence[str]) -> list[str]:
    """The command line's arguments, with the study's URL replaced."""
    return [_hidden(argument) for argument in arguments]


def _hidden(argument: str) -> str:
    if "storage" not in argument:
        return argument
    override = _parsed(argument)
    if override is None:  # a URL need not be one of Hydra's values
        key, equals, value = argument.partition("=")
        if not equals or _dotted(key.lstrip("+")) != KEY or not _is_secret(_unquoted(value)):
            return argument
        return f"{key}={_moved(_unquoted(value))}"
    value = _without_url(_dotted(override.key_or_group), override._value)
    if value is override._value:
        return argument
    text = replace(override, _value=value).get_value_element_as_str()
    # As the user would write it, where it is the whole value.
    return f"{override.get_key_element()}={text if isinstance(value, dict) else _REFERENCE}"


def _parsed(argument: str) -> Override | None:
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        return None
    sweeps = override.is_sweep_override() or override.is_delete()
    return None if sweeps or not override.key_or_group else override


def _dotted(key: str) -> str:
    """A key with dots alone: Hydra also takes a[b]."""
    return ".".join(split_key(key))


def _unquoted(value: str) -> str:
    value = value.strip()
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _without_url(key: str, value: Any) -> Any:
    """A parsed value with the URL in it replaced; the same object where it holds none."""
    if key == KEY:
        text = value.text if isinstance(value, QuotedString) else value
        return QuotedString(_moved(text), Quote.single) if _is_secret(text) else value
    if not isinstance(value, dict):
        return value
    items = {name: _without_url(f"{key}.{_name(name)}", item) for name, item in value.items()}
    return items if any(items[name] is not value[name] for name in value) else value


def _name(key: Any) -> str:
    return key.text if isinstance(key, QuotedString) else str(key)


def _is_secret(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value not in ("", "null") and not (
        _ONLY_REFERENCE.fullmatch(value)
    )  # fmt: skip


def _moved(url: str) -> str:
    """Sets the variable to the URL, with references in it resolved; returns the reference to it."""
    if "${" in url:
        try:
            url = OmegaConf.create({"url": url}).url
        except OmegaConfBaseException:
            allowed = "a URL whose references are all ${oc.env:NAME}"
            found = "a URL with a reference to another key or an unset variable"
            raise UserError(KEY, found, allowed) from None
    os.environ[VARIABLE] = str(url)
    return _REFERENCE


def redacted(message: str) -> str:
    """A message without users and passwords of URLs."""
    return _USER.sub("***@", message)


def hide_storage_of(config: DictConfig) -> None:
    """Replaces the URL in a composed config and in the overrides that it lists.

    Raises:
        UserError: another key holds the URL, too.
    """
    sweeper: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
    storage = sweeper.get("storage") if isinstance(sweeper, dict) else None
    with read_write(config), read_write(config.hydra), open_dict(config):
        if _is_secret(storage):
            config.hydra.sweeper.storage = _moved(storage)
        listed: Any = OmegaConf.to_container(config.hydra.overrides, resolve=False)
        for kind, overrides in listed.items():
            config.hydra.overrides[kind] = hide_storage(overrides)
    if storage is not None and (url := _text(config.hydra.sweeper, "storage")):
        _check_alone(config, url)


def _check_alone(config: DictConfig, url: str) -> None:
    # Hydra writes the variables of a job with their values.
    variables = config.hydra.job.env_set
    held = [f"hydra.job.env_set.{name}" for name in variables if url in _text(variables, name)]
    settings: Any = OmegaConf.to_container(config, resolve=False)
    held += [key for key, value in flatten(settings) if url in str(value)]
    if held:
        allowed = f"{KEY} alone, or a variable of the shell, which jobs inherit"
        raise UserError(held[0], "the URL of the study, which would be written to files", allowed)


def _text(values: DictConfig, name: Any) -> str:
    try:
        return str(values[name] or "")
    except (OmegaConfBaseException, ValueError):
        return ""


def require_variable(config: DictConfig) -> None:
    """Takes the second half of a preset's "the variable, or else SQLite" where the variable is set.

    A job that did not inherit it would look for its trial in a study of its own.
    """
    sweeper: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
    if sweeper.get("storage") == _OR_SQLITE and os.environ.get(VARIABLE):
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
