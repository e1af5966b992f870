"""Composes a config from overrides in this process, as the command ``mtl-train`` does."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl_sharing.config.errors import config_error
from mtl_sharing.config.schema import Config, register, to_config
from mtl_sharing.errors import UserError, one_of

_PACKAGES = ("mtl_sharing.conf", "mtl_sharing.sweeps")


def check_group_values(overrides: Sequence[str]) -> None:
    """Checks that each group is given names: Hydra raises a plain ValueError for a number.

    Raises:
        UserError: a config group with a number, a truth value, null, or a list with one of them.
        HydraException: an override that cannot be parsed.
    """
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        group, value = override.key_or_group, override.value()
        names = _options(group)
        is_group = bool(names) or "/" in group or override.package is not None
        if is_group and not _is_name(value) and not (override.is_delete() and value is None):
            where = group if override.package is None else f"{group}@{override.package}"
            found = f"{override.get_value_string()}, which is no name"
            raise UserError(where, found, one_of(names) or "the name of a config")


def _options(group: str) -> list[str]:
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


def compose_config(overrides: Sequence[str] | Config) -> Config:
    """The config of these overrides, which may choose groups and add to ``hydra.searchpath``.

    Leaves the working directory, the logging and a Hydra app that is running as they are. A whole
    config is checked alone.

    Raises:
        UserError: an override that does not fit, with the text of the command.
    """
    register()
    app, job = GlobalHydra.instance().hydra, JobRuntime.instance().get("name")
    GlobalHydra.instance().clear()
    try:
        if isinstance(overrides, Config):
            return to_config(OmegaConf.create(asdict(overrides)))
        check_group_values(overrides)
        with initialize_config_module("mtl_sharing.conf", job):
            return to_config(compose("train", overrides=list(overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        raise config_error(error) from None
    finally:
        GlobalHydra.instance().hydra = app
