"""Composes a config from overrides, and names the key and what is allowed in its errors."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf, errors

from mtl_sharing.config.schema import Config, register, to_config
from mtl_sharing.data.tasks.sources import SourceConfig
from mtl_sharing.data.tasks.task import TaskConfig
from mtl_sharing.errors import UserError, did_you_mean, first_line, one_of
from mtl_sharing.training.settings import PhaseConfig

_PACKAGES = ("mtl_sharing.conf", "mtl_sharing.sweeps")
MERGING = "Error merging override "
"""Hydra's text before an override that it could not merge. No attribute holds the override."""
# Groups whose keys are the user's own names, and what every entry is.
_ENTRIES = {"task": TaskConfig, "sources": SourceConfig, "phases": PhaseConfig}
# Launchers that an extra installs.
_EXTRAS = {"hydra/launcher/joblib": "parallel", "hydra/launcher/submitit_local": "slurm",
           "hydra/launcher/submitit_slurm": "slurm"}  # fmt: skip


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
    except (HydraException, errors.OmegaConfBaseException) as error:
        raise config_error(error) from None
    finally:
        GlobalHydra.instance().hydra = app


class ConfigError(UserError):
    """A mistake in the config, in the words of Hydra or OmegaConf."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)
        self.where, self.found, self.allowed = "the config", message, "another value"

    def __reduce__(self) -> tuple[type, tuple[str]]:  # type: ignore[override]
        return type(self), (str(self),)


def config_error(error: Exception) -> UserError:
    """The UserError for an error that Hydra or OmegaConf raised while composing a config."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_option(error.missing_cfg_file, error.options or ())
    # Hydra hides OmegaConf's error behind one of its own.
    chain = (error, error.__cause__, error.__context__)
    cause = next((link for link in chain if isinstance(link, errors.OmegaConfBaseException)), None)
    unknown_key = (errors.ConfigKeyError, errors.ConfigAttributeError)
    if isinstance(cause, unknown_key) and cause.parent_node is not None:
        return _unknown_key(cause)
    if isinstance(cause, errors.KeyValidationError):
        return _unquoted_key(cause)
    missing = None
    if isinstance(cause, errors.ValidationError) and cause.parent_node is None:
        missing = _missing_entry(str(error), str(cause))
    return missing or ConfigError(_message(error, cause))


def _unknown_option(path: str, options: Sequence[str]) -> UserError:
    group, _, name = path.rpartition("/")
    if path in _EXTRAS:
        allowed = f"pip install 'mtl-sharing[{_EXTRAS[path]}]', or another launcher"
        return UserError(group, f"{name}, which is not installed", allowed)
    allowed = one_of(options) or "a config of the search path"
    return UserError(group, name + did_you_mean(name, options), allowed)


def _unknown_key(cause: errors.OmegaConfBaseException) -> UserError:
    parent, _, name = str(cause.full_key).rpartition(".")
    if parent.rpartition(".")[2] in _ENTRIES:
        return _no_such_entry(parent, name, "{...}")
    # At the root Hydra's own settings stand beside the project's.
    keys = [str(key) for key in cause.parent_node if key != "hydra"]
    return UserError(f"{cause.full_key}", f"an unknown key{did_you_mean(name, keys)}", one_of(keys))


def _unquoted_key(cause: errors.OmegaConfBaseException) -> UserError:
    """YAML reads a key without quotes as a number, or as true where it is yes or on."""
    where = str(cause.full_key).removesuffix(f".{cause.key}")
    written = {True: "yes, on or true", False: "no, off or false"}
    key = written[cause.key] if isinstance(cause.key, bool) else str(cause.key)
    allowed = f"text; quote it, as in '{key.partition(',')[0]}'"
    return UserError(where, f"the key {key} ({type(cause.key).__name__})", allowed)


def _missing_entry(message: str, cause: str) -> UserError | None:
    """The error for ``+phases.x.kind=...`` where there is no ``phases.x``; None for another."""
    group = next((name for name, entry in _ENTRIES.items() if entry.__name__ in cause), None)
    override = message.removeprefix(MERGING)
    if group is None or not override.startswith("+"):
        return None
    path, _, value = override.lstrip("+").partition("=")
    before, _, rest = f".{path}".partition(f".{group}.")
    return _no_such_entry(f"{before}.{group}".lstrip("."), rest, value)


def _no_such_entry(parent: str, path: str, value: str) -> UserError:
    """Hydra adds entries to a group, but no field to an entry that is missing."""
    first, *fields = path.split(".")
    # a.b=1 as a:{b:1}
    nested = f"{first}:{''.join(f'{{{name}:' for name in fields)}{value}{'}' * len(fields)}"
    allowed = f"one that is there, or to add one: '+{parent}={{{nested}}}'"
    return UserError(f"{parent}.{first}", "no such entry", allowed)


def _message(error: Exception, cause: errors.OmegaConfBaseException | None) -> str:
    """The error's own text in one line, with the key and the reason that it leaves out."""
    text = str(error)
    if cause is None:
        return " ".join(text.split())
    reason = first_line(cause)
    if cause is error:
        key = cause.full_key
        return reason if not key or key in reason else f"{key}: {reason}"
    return " ".join((text if reason in text else f"{text} {reason}").split())
