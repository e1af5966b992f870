"""Settings that a config asks of its surroundings (``${oc.env:X}``), and how files show them.

A key is asked if a resolver gives its value, directly or through another key. The files of a run
hold its text, and its value only where the trained network needs it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_origin

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue
from omegaconf.grammar.gen.OmegaConfGrammarParser import OmegaConfGrammarParser
from omegaconf.grammar_parser import parse

from mtl_sharing.config.fields import takes_text, type_of, without_null
from mtl_sharing.config.identity import Decides, is_left_out
from mtl_sharing.config.schema import Config
from mtl_sharing.utils.nested import flatten, get

HIDDEN = frozenset({
    Decides.START_FILES, Decides.DATA_FOLDER, Decides.DATA_FILES, Decides.LABEL, Decides.PLACE,
    Decides.SCORING, Decides.TRACKING,
})  # fmt: skip
"""A trained network is used without these, so that an asked value of them is never written."""
_MISSING = "???"
# Shorter values are too common to be found in a message.
_LEAST_FOUND = 4


def asked_values(values: DictConfig) -> dict[str, Any]:
    """The unresolved value of every asked key, by its dotted name; a list is one key.

    Args:
        values: a composed config that can be resolved.
    """
    raw: Any = OmegaConf.to_container(values, resolve=False)
    return dict(_asked(OmegaConf.create(_blanked(raw)), raw, ""))


def asked_texts(values: DictConfig) -> dict[str, str]:
    """The text of every asked key; that of a list or of fields is JSON."""
    raw = asked_values(values).items()
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


def _asked(node: DictConfig, raw: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """The asked keys below a node of the blanked config."""
    for name in node:
        key, value = f"{prefix}{name!s}", _value(node, name)
        if isinstance(value, DictConfig) and all(map(_is_plain_name, value)):
            yield from _asked(value, raw, f"{key}.")
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
    """Nested settings with the text of each asked key in place of its value."""
    shown = _copied(settings)
    for key, text in texts.items():
        replace_at(shown, key, text)
    return shown


def as_written(settings: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Nested settings as files beside settings.json show them, which build the network again.

    An asked key of :data:`HIDDEN` has its text; a number or a truth value is left out.
    """
    shown = _copied(settings)
    for key, text in texts.items():
        for leaf in leaves(settings, key):
            if is_left_out(leaf, HIDDEN):
                replace_at(shown, leaf, _shown(text, type_of(leaf, Config)))
    return shown


def _shown(text: str, hint: Any) -> Any:
    if get_origin(without_null(hint)) is list:
        return [text]
    return text if takes_text(hint) else None


def leaves(settings: Mapping[str, Any], key: str) -> list[str]:
    """The key, or the keys below it."""
    value = get(settings, key)
    return [f"{key}.{name}" for name, _ in flatten(value)] if isinstance(value, Mapping) else [key]


def _copied(value: Any) -> Any:
    return {k: _copied(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def replace_at(settings: dict[str, Any], key: str, value: Any) -> None:
    """Replaces the value of a dotted key that is there; None removes it."""
    above, _, name = key.rpartition(".")
    group = get(settings, above) if above else settings
    if not isinstance(group, dict) or name not in group:
        return
    if value is None:
        del group[name]
    else:
        group[name] = value


def hidden_texts(settings: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, str]:
    """The texts of asked keys of :data:`HIDDEN`, by each text that their values hold."""
    found: dict[str, str] = {}
    for key, text in texts.items():
        for leaf in leaves(settings, key):
            if is_left_out(leaf, HIDDEN):
                found |= _named(get(settings, leaf), text)
    return found


def _named(value: Any, text: str) -> dict[str, str]:
    """The text by its value; texts in a list are numbered."""
    if isinstance(value, list):
        items = [item for item in value if isinstance(item, str)]
        return {item: f"{text}[{number}]" for number, item in enumerate(items)}
    return {value: text} if isinstance(value, str) else {}


def hide(message: str, hidden: Mapping[str, str]) -> str:
    """A message with the text of an asked key in place of its value, from :func:`hidden_texts`."""
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) >= _LEAST_FOUND:
            message = message.replace(value, hidden[value])
    return message
