"""Gives the errors of Hydra, OmegaConf and YAML a key, the value there and what is allowed."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import OmegaConf, errors

from mtl_sharing.config.fields import allowed_values, misplaced, type_of
from mtl_sharing.config.overrides import config_folders, options, unparsed
from mtl_sharing.config.schema import Config
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
_SIDE_BY_SIDE = "hydra.sweeper.n_jobs=N beside -m, a sweep (+sweep=NAME) and +cluster=local"
_INTERPOLATION = "a value, or ${KEY} of a key that is there; as text: \\${"
# Hydra's texts with what they are about, and what is allowed there.
_TEXTS = (
    (r"Additional config directory '(?P<found>.*)' not found", "--config-dir",
     "a folder that exists"),
    (r"Primary config (?:module|directory) '?(?P<found>.*?)'? not found.*", "--config-path",
     "the folder of a root config; --config-dir=FOLDER adds configs of your own"),
    (r"Could not override '(?P<where>.*?)'\.\s*(?:Did you mean to override )?(?P<allowed>.*)",
     "nothing to override", ""),
    (r"Could not delete '(?P<where>.*?)'\..*", "nothing to delete", "a group that was chosen"),
    (r"Could not delete from config\. '(?P<where>.*?)' does not exist\.", "no such key",
     "a key that is there"),
)  # fmt: skip


class ConfigError(UserError):
    """A mistake in the config, in the words of Hydra or OmegaConf."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)
        self.where, self.found, self.allowed = "the config", message, "another value"

    def __reduce__(self) -> tuple[type, tuple[str]]:  # type: ignore[override]
        return type(self), (str(self),)


def config_error(error: Exception, arguments: Sequence[str] = ()) -> UserError:
    """The UserError for an error that Hydra, OmegaConf or YAML raised while composing a config.

    Args:
        arguments: the command line, which names config folders with the file that does not fit.
    """
    if isinstance(error, OverrideParseException):
        return unparsed(error.override, str(error))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_option(error.missing_cfg_file, error.options or ())
    if isinstance(error, yaml.YAMLError):
        return yaml_error(error)
    # Hydra hides OmegaConf's error behind one of its own.
    chain = (error, error.__cause__, error.__context__)
    cause = next((link for link in chain if isinstance(link, errors.OmegaConfBaseException)), None)
    found = None if cause is None else _of_omegaconf(error, cause, arguments)
    return found or _of_hydra(str(error)) or ConfigError(_message(error, cause))


def _of_omegaconf(
    error: Exception, cause: errors.OmegaConfBaseException, arguments: Sequence[str]
) -> UserError | None:
    """The error for one that OmegaConf raised; None where it says too little."""
    unknown_key = (errors.ConfigKeyError, errors.ConfigAttributeError)
    if isinstance(cause, unknown_key) and cause.parent_node is not None:
        return _unknown_key(cause)
    if isinstance(cause, errors.KeyValidationError):
        return _unquoted_key(cause)
    if isinstance(cause, errors.GrammarParseError) and cause.full_key:
        return _broken_interpolation(cause, arguments)
    if not cause.full_key and (found := _misplaced(str(error), arguments)) is not None:
        return found
    key = str(cause.full_key or "")
    hint = type_of(key, Config) if key else None
    if isinstance(cause, errors.InterpolationResolutionError) and key:
        return UserError(key, first_line(cause), _INTERPOLATION)
    if isinstance(cause, errors.MissingMandatoryValue) and hint is not None:
        return UserError(key, "no value", allowed_values(hint))
    if isinstance(cause, errors.ValidationError) and cause.parent_node is None:
        return _missing_entry(str(error), str(cause))
    if isinstance(cause, errors.ValidationError) and hint is not None:
        return UserError(key, _shown(cause.value), allowed_values(hint))
    return None


def _shown(value: Any) -> str:
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value)
    return {"": "an empty text", "None": "null"}.get(str(value), str(value))


def _of_hydra(text: str) -> UserError | None:
    """The error for one of Hydra's texts that :data:`_TEXTS` knows."""
    text = " ".join(text.split())
    for pattern, about, allowed in _TEXTS:
        if match := re.fullmatch(pattern, text):
            parts = match.groupdict()
            if "found" in parts:
                return UserError(about, parts["found"], allowed)
            return UserError(parts["where"], about, parts.get("allowed") or allowed)
    return None


def yaml_error(error: yaml.YAMLError) -> UserError:
    """The error for a file that is no YAML, with its line where the parser knows it."""
    mark = getattr(error, "problem_mark", None)
    where = f"{mark.name}:{mark.line + 1}" if mark is not None else getattr(error, "name", "YAML")
    problem = getattr(error, "problem", None) or first_line(error)
    return UserError(where, f"broken YAML ({problem})", "lines of key: value")


def _unknown_option(path: str, offered: Sequence[str]) -> UserError:
    group, _, name = path.rpartition("/")
    if path in _EXTRAS:
        allowed = f"pip install 'mtl-sharing[{_EXTRAS[path]}]', or another launcher"
        return UserError(group, f"{name}, which is not installed", allowed)
    if not group:
        return UserError("--config-name", name, "train")
    # Hydra names none for an item of a list.
    names = list(offered) or options(group)
    allowed = one_of(names) or "a config of the search path"
    return UserError(group, name + did_you_mean(name, names), allowed)


def _unknown_key(cause: errors.OmegaConfBaseException) -> UserError:
    parent, _, name = str(cause.full_key).rpartition(".")
    if name == "n_jobs":
        return UserError(str(cause.full_key), "an unknown key here", _SIDE_BY_SIDE)
    if parent.rpartition(".")[2] in _ENTRIES:
        return _no_such_entry(parent, name, "{...}", list(map(str, cause.parent_node or ())))
    # At the root Hydra's own settings stand beside the project's.
    keys = [str(key) for key in cause.parent_node if key != "hydra"]
    return UserError(f"{cause.full_key}", f"an unknown key{did_you_mean(name, keys)}", one_of(keys))


def _unquoted_key(cause: errors.OmegaConfBaseException) -> UserError:
    """YAML reads a key without quotes as a number, or as true where it is yes or on."""
    where = str(cause.full_key).removesuffix(f".{cause.key}") or "a config file"
    written = {"True": "yes, on or true", "False": "no, off or false", "None": "null"}
    key = written.get(str(cause.key), str(cause.key))
    allowed = f"text; quote it, as in '{key.partition(',')[0]}'"
    return UserError(where, f"the key {key} ({type(cause.key).__name__})", allowed)


def _broken_interpolation(
    cause: errors.OmegaConfBaseException, arguments: Sequence[str]
) -> UserError:
    """A value with ``${`` that OmegaConf cannot parse: in a file, the key lacks its group."""
    key, value = str(cause.full_key), str(cause.value)
    found = f"{value}, which cannot be parsed ({first_line(cause)})"
    for folder in config_folders(arguments):
        for path in sorted(folder.rglob("*.yaml")):
            if (key, value) in _leaves("", _loaded(path)):
                where = f"{_entry(path.parent.name, path.stem, arguments)}.{key}"
                inside = where if path.parent != folder else key
                return UserError(inside, f"{found} ({path})", _INTERPOLATION)
    return UserError(key, found, _INTERPOLATION)


def _loaded(path: Path) -> Any:
    """The plain values of a YAML file; None where it is none, which is another mistake."""
    try:
        return yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, OSError):
        return None


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values that are no containers, each with its dotted key as OmegaConf writes it."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(f"{key}.{name}".lstrip("."), item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _leaves(f"{key}[{number}]", item)
    else:
        yield key, value


def _entry(group: str, name: str, arguments: Sequence[str]) -> str:
    """The key that a group's file sets: an override can name it, as +task@task.mine=reviews."""
    named = (
        re.fullmatch(rf"\+?{group}@(.+)={re.escape(name)}", argument) for argument in arguments
    )
    where = f"{group}.{name}" if group in ("task", "source") else group
    return next((match[1] for match in named if match), where)


def _misplaced(message: str, arguments: Sequence[str]) -> UserError | None:
    """The error for a list in place of fields, or the other way round: OmegaConf names no key."""
    match = re.match(r"In '(?P<group>\w+)/(?P<name>[^']+)'", message)
    if match is None:
        return None
    group, name = match.groups()
    hint = _ENTRIES.get({"source": "sources"}.get(group, group), type_of(group, Config))
    where = _entry(group, name, arguments)
    for path in (folder / group / f"{name}.yaml" for folder in config_folders(arguments)):
        if path.is_file() and (found := misplaced(where, yaml.safe_load(path.read_bytes()), hint)):
            key, value, kind = found
            return UserError(key, f"{value} ({path})", allowed_values(kind))
    return UserError(where, "a list in place of fields, or the other way round",
                     allowed_values(hint))  # fmt: skip


def _missing_entry(message: str, cause: str) -> UserError | None:
    """The error for ``+phases.x.kind=...`` where there is no ``phases.x``; None for another."""
    group = next((name for name, entry in _ENTRIES.items() if entry.__name__ in cause), None)
    override = message.removeprefix(MERGING)
    if group is None or not override.startswith("+"):
        return None
    path, _, value = override.lstrip("+").partition("=")
    before, _, rest = f".{path}".partition(f".{group}.")
    return _no_such_entry(f"{before}.{group}".lstrip("."), rest, value)


def _no_such_entry(parent: str, path: str, value: str, there: Sequence[str] = ()) -> UserError:
    """Hydra adds entries to a group, but no field to an entry that is missing."""
    first, *fields = path.split(".")
    # a.b=1 as a:{b:1}
    nested = f"{first}:{''.join(f'{{{name}:' for name in fields)}{value}{'}' * len(fields)}"
    allowed = f"{one_of(there) or 'one that is there'}, or to add one: '+{parent}={{{nested}}}'"
    return UserError(f"{parent}.{first}", f"no such entry{did_you_mean(first, there)}", allowed)


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
