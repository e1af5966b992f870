"""Keys whose values resolvers interpolate (``${oc.env:X}``), and how files show them.

A key is interpolated if a resolver gives its value, directly or through another key. The files of a
run hold its text, and its value only where the trained network needs it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue
from omegaconf.grammar.gen.OmegaConfGrammarParser import OmegaConfGrammarParser
from omegaconf.grammar_parser import parse

from mtl_sharing.config.fields import takes_text, type_of
from mtl_sharing.config.identity import Decides, decides
from mtl_sharing.config.schema import Config
from mtl_sharing.data.tasks.task import SPLITS
from mtl_sharing.utils.nested import flatten, get, set_at

HIDDEN = frozenset({
    Decides.START_FILES, Decides.DATA_FOLDER, Decides.DATA_FILES, Decides.LABEL, Decides.PLACE,
    Decides.SCORING, Decides.TRACKING,
})  # fmt: skip
"""A trained network is used without these: no interpolated value of them is written."""
_MISSING = "???"
# Shorter values are too common to be found in a message.
_MIN_LENGTH = 4


def interpolated_values(values: DictConfig) -> dict[str, Any]:
    """The unresolved value of every interpolated key, by its dotted name; a list is one key.

    Args:
        values: a composed config that can be resolved.
    """
    raw: Any = OmegaConf.to_container(values, resolve=False)
    blanked = _blanked(raw)
    return {} if blanked == raw else dict(_interpolated(OmegaConf.create(blanked), raw, ""))


def interpolation_texts(values: DictConfig) -> dict[str, str]:
    """The text of every interpolated key; that of a list or of fields is JSON."""
    raw = interpolated_values(values).items()
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in raw}


def _blanked(value: Any) -> Any:
    """The value with OmegaConf's mark of a missing one in place of each text with a resolver."""
    if isinstance(value, dict):
        return {name: _blanked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_blanked(item) for item in value]
    return _MISSING if isinstance(value, str) and _has_resolver(value) else value


def _has_resolver(text: str) -> bool:
    return "${" in text and _holds(parse(text), OmegaConfGrammarParser.InterpolationResolverContext)


def _holds(tree: Any, kind: type) -> bool:
    return isinstance(tree, kind) or any(
        _holds(c, kind) for c in getattr(tree, "children", ()) or ()
    )


def _interpolated(node: DictConfig, raw: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """The interpolated keys below a node of the blanked config."""
    for name in node:
        key, value = f"{prefix}{name!s}", _value(node, name)
        if isinstance(value, DictConfig) and all(map(_is_plain_name, value)):
            yield from _interpolated(value, raw, f"{key}.")
        elif _is_missing(value):
            yield key, _raw_value(raw, node._get_full_key(name))


def _value(node: Any, name: Any) -> Any:
    try:
        return node[name]
    except (MissingMandatoryValue, InterpolationToMissingValueError):
        return _MISSING


def _is_plain_name(name: Any) -> bool:
    return isinstance(name, str) and not set(name) & set(".[]")


def _is_missing(value: Any) -> bool:
    """Whether a value or a part of it is missing."""
    if isinstance(value, DictConfig | ListConfig):
        names = value if isinstance(value, DictConfig) else range(len(value))
        return any(_is_missing(_value(value, name)) for name in names)
    return isinstance(value, str) and value == _MISSING


def _raw_value(raw: Any, key: str) -> Any:
    for name in key.replace("[", ".").replace("]", "").split("."):
        raw = raw[int(name)] if isinstance(raw, list) else raw[name]
    return raw


def as_text(settings: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Nested settings with the text of each interpolated key in place of its value."""
    shown: dict[str, Any] = deepcopy(dict(settings))
    for key, text in texts.items():
        set_at(shown, key, text)
    return shown


def as_written(settings: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Nested settings as files beside settings.json show them, which build the network again.

    An interpolated key of :data:`HIDDEN` has its text; a number or a truth value is left out.
    """
    shown: dict[str, Any] = deepcopy(dict(settings))
    for above, name, key, text in list(_hidden(shown, texts)):
        if isinstance(above[name], list | tuple):
            above[name] = [text]
        elif takes_text(type_of(key, Config)):
            above[name] = text
        else:
            del above[name]
    return shown


def _hidden(
    settings: Any, texts: Mapping[str, str], prefix: str = "", text: str | None = None
) -> Iterator[tuple[Any, str, str, str]]:
    """The hidden values: each the mapping that holds it, its name there, its key and the text.

    Args:
        text: that of an interpolated key above, if any.
    """
    for name, value in settings.items():
        key = f"{prefix}{name}"
        nearest = texts.get(key, text)
        if isinstance(value, Mapping):
            yield from _hidden(value, texts, f"{key}.", nearest)
        elif nearest is not None and _is_hidden(key):
            yield settings, name, key, nearest


def _is_hidden(key: str) -> bool:
    try:
        decided = decides(key)
    except KeyError:  # below a name with a dot, for instance
        return True
    # How a file is read is needed for new files, too.
    is_layout = decided == Decides.DATA_FILES and key.rpartition(".")[2] not in SPLITS
    return decided in HIDDEN and not is_layout


def hidden_texts(settings: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, str]:
    """The texts of interpolated keys of :data:`HIDDEN`, by each text that their values hold."""
    hidden: dict[str, str] = {}
    for above, name, _, text in _hidden(settings, texts):
        value = above[name]
        if isinstance(value, list | tuple):  # numbered, so that each has a name of its own
            hidden |= {v: f"{text}[{n}]" for n, v in enumerate(value) if isinstance(v, str)}
        elif isinstance(value, str):
            hidden[value] = text
    return hidden


def leaves(settings: Mapping[str, Any], key: str) -> list[str]:
    """The dotted keys of all values at or below a key of nested settings."""
    value = get(settings, key)
    return [f"{key}.{name}" for name, _ in flatten(value)] if isinstance(value, Mapping) else [key]


def hide(message: str, hidden: Mapping[str, str]) -> str:
    """A message with texts of interpolated keys, not their values, from :func:`hidden_texts`."""
    values = sorted((v for v in hidden if len(v) >= _MIN_LENGTH), key=len, reverse=True)
    if not values:
        return message
    return re.sub("|".join(map(re.escape, values)), lambda match: hidden[match[0]], message)
