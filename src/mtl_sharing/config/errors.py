"""Turns errors of Hydra and OmegaConf into a UserError that names the key and what is allowed."""

from collections.abc import Sequence

from hydra.errors import MissingConfigException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    KeyValidationError,
    OmegaConfBaseException,
    ValidationError,
)

from mtl_sharing.data.tasks.sources import SourceConfig
from mtl_sharing.data.tasks.task import TaskConfig
from mtl_sharing.errors import UserError, did_you_mean, first_line, one_of
from mtl_sharing.training.settings import PhaseConfig

MERGING = "Error merging override "
"""Hydra's text before an override that it could not merge. No attribute holds the override."""
# Groups whose keys are the user's own names, and what every entry is.
_ENTRIES = {"task": TaskConfig, "sources": SourceConfig, "phases": PhaseConfig}
# Launchers that an extra installs.
_EXTRAS = {"hydra/launcher/joblib": "parallel", "hydra/launcher/submitit_local": "slurm",
           "hydra/launcher/submitit_slurm": "slurm"}  # fmt: skip


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
    cause = next((link for link in chain if isinstance(link, OmegaConfBaseException)), None)
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.parent_node is not None:
        return _unknown_key(cause)
    if isinstance(cause, KeyValidationError):
        return _unquoted_key(cause)
    missing = None
    if isinstance(cause, ValidationError) and cause.parent_node is None:
        missing = _missing_entry(str(error), str(cause))
    return missing or ConfigError(_message(error, cause))


def _unknown_option(path: str, options: Sequence[str]) -> UserError:
    group, _, name = path.rpartition("/")
    if path in _EXTRAS:
        allowed = f"pip install 'mtl-sharing[{_EXTRAS[path]}]', or another launcher"
        return UserError(group, f"{name}, which is not installed", allowed)
    allowed = one_of(options) or "a config of the search path"
    return UserError(group, name + did_you_mean(name, options), allowed)


def _unknown_key(cause: OmegaConfBaseException) -> UserError:
    parent, _, name = str(cause.full_key).rpartition(".")
    if parent.rpartition(".")[2] in _ENTRIES:
        return _no_such_entry(parent, name, "{...}")
    # At the root Hydra's own settings stand beside the project's.
    keys = [str(key) for key in cause.parent_node if key != "hydra"]
    return UserError(f"{cause.full_key}", f"an unknown key{did_you_mean(name, keys)}", one_of(keys))


def _unquoted_key(cause: OmegaConfBaseException) -> UserError:
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


def _message(error: Exception, cause: OmegaConfBaseException | None) -> str:
    """The error's own text in one line, with the key and the reason that it leaves out."""
    text = str(error)
    if cause is None:
        return " ".join(text.split())
    reason = first_line(cause)
    if cause is error:
        key = cause.full_key
        return reason if not key or key in reason else f"{key}: {reason}"
    return " ".join((text if reason in text else f"{text} {reason}").split())
