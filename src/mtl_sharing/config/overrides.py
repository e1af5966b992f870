"""Checks overrides before Hydra composes them, and shows how to quote what it cannot parse."""

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, get_origin

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl_sharing.config.fields import allowed_values, misplaced, takes_text, type_of
from mtl_sharing.config.quoting import BadItem, bad_item, in_quotes
from mtl_sharing.config.schema import Config
from mtl_sharing.errors import UserError, check_different, first_line, one_of

_PACKAGES = ("mtl_sharing.conf", "mtl_sharing.sweeps")
# Their options set different keys, so that several make sense together.
_COMBINABLE = ("phases", "tracker")
_KEY = re.compile(r"[+~]{0,2}[\w./@${}-]+")
_FORM = "KEY=VALUE; mtl-train --help lists groups and keys"


def check_overrides(overrides: Sequence[str], sweeps: bool = False) -> None:
    """Raises UserError for an override that Hydra cannot parse, or takes for something else.

    Args:
        sweeps: whether a key may have several values, as with ``-m``.
    """
    for text in overrides:
        override = parse_override(text)
        _check_group(override)
        if override.is_sweep_override() and not sweeps:
            raise _several(override)
        _check_containers(override)
        _check_truth(override)
        if override.is_delete():
            _check_deletion(override)


def parse_override(text: str) -> Override:
    """Parses one override; raises UserError that shows how to quote it."""
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise unparsed(text, str(error)) from None
    if not override.key_or_group:
        raise UserError(text, "no key", _FORM)
    return override


def override_text(text: str) -> str | None:
    """The value of one override of a text, as Hydra reads it; None for null.

    Raises:
        UserError: an override that Hydra cannot parse, or whose value is no text.
    """
    check_overrides([text])
    value = parse_override(text).value()
    plain = value.text if isinstance(value, QuotedString) else value
    try:
        resolved = OmegaConf.create({"value": plain}).value
    except OmegaConfBaseException as error:
        key, _, found = text.partition("=")
        raise UserError(key, f"{found} ({first_line(error)})", "a text, or null") from None
    return None if resolved is None else str(resolved)


def unparsed(text: str, reason: str = "") -> UserError:
    """The error for an override that Hydra cannot parse."""
    key, equals, value = text.partition("=")
    if not equals:
        allowed = f"{key}=VALUE, or another {_FORM}" if _KEY.fullmatch(key) else _FORM
        return UserError(text, "no =", allowed)
    if not _KEY.fullmatch(key):
        return UserError(text, f"the key {key!r}", _FORM)
    name, quoted = key.lstrip("+~"), in_quotes(key, value)
    hint = type_of(name, Config)
    if (hint is None or not takes_text(hint)) and (item := bad_item(key, value)) is not None:
        return _unparsed_item(item)
    if not takes_text(hint):
        return UserError(name, value, allowed_values(hint))
    if quoted is None:
        return UserError(name, f"{value}, which cannot be parsed ({_last_line(reason)})", _FORM)
    return UserError(name, f"{value}, which needs quotes as text", quoted)


def _unparsed_item(item: BadItem) -> UserError:
    if item.is_name:
        allowed = "letters a-z, digits, _ and -; a config file of --config-dir holds other names"
        return UserError(item.key, f"the name {item.text!r}", allowed)
    hint = type_of(item.key, Config)
    is_text = takes_text(hint) or bool(options(item.key.partition("[")[0]))
    if not is_text or item.quoted is None or not item.text:
        return UserError(item.key, item.text or "nothing", allowed_values(hint))
    return UserError(item.key, f"{item.text}, which needs quotes as text", item.quoted)


def _last_line(reason: str) -> str:
    lines = [line for line in reason.splitlines() if line.strip(" ^") and "hydra.cc" not in line]
    return lines[-1].strip() if lines else "no value"


def _several(override: Override) -> UserError:
    key, value = override.get_key_element(), override.get_value_string()
    quoted = in_quotes(key, value) if takes_text(type_of(key.lstrip("+"), Config)) else None
    as_text = "" if quoted is None else f", or as one text: {quoted}"
    allowed = f"one value, -m for a run of each{as_text}"
    return UserError(key.lstrip("+"), f"{value}, which is several values", allowed)


def _check_group(override: Override) -> None:
    """Checks that a group is given names: Hydra raises a plain ValueError for a number."""
    group, value = override.key_or_group, override.value()
    names = options(group)
    if not (names or "/" in group or override.package is not None):
        return
    where = group if override.package is None else f"{group}@{override.package}"
    allowed = one_of(names) or "the name of a config"
    if override.is_delete() and value is None:
        return
    found = override.get_value_string()
    if not _is_name(value):
        raise UserError(where, f"{found}, which is no name", allowed)
    if isinstance(value, list):
        check_different(where, [str(getattr(item, "text", item)) for item in value])
    if isinstance(value, list) and type_of(group, Config) is not None and group not in _COMBINABLE:
        raise UserError(where, f"{found}, which is a list", f"one of {allowed}")


def options(group: str) -> list[str]:
    """The names of the configs in a group of this package; empty for a key that is no group."""
    folders = [files(package).joinpath(group) for package in _PACKAGES]
    paths = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return sorted(p.name.removesuffix(".yaml") for p in paths if p.name.endswith(".yaml"))


def _is_name(value: Any) -> bool:
    """Whether a group can have a value: a name, names, or fields of its config."""
    if isinstance(value, ChoiceSweep):
        return all(map(_is_name, value.list))
    if isinstance(value, list):
        return all(isinstance(item, str | QuotedString) for item in value)
    return isinstance(value, str | QuotedString | dict)


def _check_containers(override: Override) -> None:
    """Refuses a list or fields where another kind of value belongs: OmegaConf names no key."""
    key, value = override.key_or_group, override.value()
    names_configs = isinstance(value, list) and bool(options(key))
    if override.package is not None or names_configs or not isinstance(value, list | dict):
        return
    if (found := misplaced(key, value, type_of(key, Config))) is not None:
        where, item, hint = found
        raise UserError(where, item, allowed_values(hint))


def _check_truth(override: Override) -> None:
    """Refuses numbers but 0 and 1 for a truth value: OmegaConf takes each of them for true."""
    hint, value = type_of(override.key_or_group, Config), override.value()
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    numbers = [v for v in values if isinstance(v, int | float) and v not in (0, 1)]
    if hint is bool and numbers:
        raise UserError(override.key_or_group, numbers[0], allowed_values(hint))


def _check_deletion(override: Override) -> None:
    """Refuses to delete what the config needs, which would silently take its default."""
    key = override.key_or_group
    hint = None if override.package is not None else type_of(key, Config)
    parent = type_of(key.rpartition(".")[0], Config) if "." in key else None
    if hint is not None and dict not in (get_origin(hint), get_origin(parent)):
        allowed = f"{key}={one_of(options(key)) or allowed_values(hint)}"
        raise UserError(f"~{key}", "a deletion of what every run needs", allowed)


def config_folders(arguments: Sequence[str]) -> Iterator[Path]:
    """The config folders that a command line adds to the project's own."""
    words = iter(arguments)
    for word in words:
        option, equals, folder = word.partition("=")
        if option in ("--config-dir", "-cd"):
            yield Path(folder if equals else next(words, ""))
        elif option == "hydra.searchpath":
            paths = parse_override(word).value()
            for path in paths if isinstance(paths, list) else []:
                yield Path(str(getattr(path, "text", path)).removeprefix("file://"))
