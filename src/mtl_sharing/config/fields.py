"""The types of a dataclass's keys, in words for messages."""

import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from mtl_sharing.errors import one_of

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text",
          NoneType: "null"}  # fmt: skip


def type_of(key: str, root: Any) -> Any:
    """The type of a dotted key of ``root``, as in ``task.sst.range[0]``; None for no key of it."""
    hint: Any = root
    for part in re.findall(r"[^.\[\]]+", key):
        hint, arguments = without_null(hint), get_args(without_null(hint))
        if is_dataclass(hint):
            hint = get_type_hints(hint).get(part)
        else:
            hint = arguments[-1] if get_origin(hint) in (dict, list) else None
        if hint is None:
            return None
    return hint


def without_null(hint: Any) -> Any:
    """The type of the values beside null, where there is one."""
    kinds = [kind for kind in _alternatives(hint) if kind is not NoneType]
    return kinds[0] if len(kinds) == 1 else hint


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def takes_text(hint: Any) -> bool:
    """Whether a key of this type can have a text; true for a key that is not here."""
    return hint is None or str in _alternatives(hint)


def allowed_values(hint: Any) -> str:
    """The values of a type in words, for the ``allowed`` part of an error."""
    return " or ".join(_words(kind) for kind in _alternatives(hint))


def _words(kind: Any) -> str:
    if is_dataclass(kind):
        return f"fields of its own ({one_of(get_type_hints(kind))})"
    if get_origin(kind) is list:
        return f"a list (each item {allowed_values(get_args(kind)[0])})"
    if get_origin(kind) is dict:
        return f"entries NAME: VALUE (each value {allowed_values(get_args(kind)[1])})"
    return _WORDS.get(kind, "a value")


def misplaced(
    key: str, value: Any, hint: Any, resolved: bool = False
) -> tuple[str, Any, Any] | None:
    """The first key with a list or fields where another kind of value belongs; None without one.

    OmegaConf names no key for a list in place of fields, and takes a list as an item of a list.

    Args:
        resolved: whether a text is none that OmegaConf resolves.

    Returns:
        The key, the value there, and the type that belongs there.
    """
    belongs = _container(without_null(hint))
    if value is None or (isinstance(value, str) and "${" in value and not resolved):
        return None  # OmegaConf names the key of these
    if not isinstance(value, belongs or (list, dict)):
        return None if belongs is None else (key, value, hint)
    if belongs is None:
        return None if hint is None else (key, value, hint)
    inner = (misplaced(*item, resolved) for item in _items(key, value, without_null(hint)))
    return next((found for found in inner if found is not None), None)


def _container(kind: Any) -> type | None:
    """The type of container that a type is written as."""
    if is_dataclass(kind) or get_origin(kind) is dict:
        return dict
    return list if get_origin(kind) is list else None


def _items(key: str, value: Any, kind: Any) -> Iterator[tuple[str, Any, Any]]:
    """The items of a container, each with its key and the type that belongs there."""
    if isinstance(value, list):
        yield from ((f"{key}[{n}]", item, get_args(kind)[0]) for n, item in enumerate(value))
        return
    fields = get_type_hints(kind) if is_dataclass(kind) else None
    for name, item in value.items():
        hint = get_args(kind)[1] if fields is None else fields.get(name)
        yield f"{key}.{name}".lstrip("."), item, hint
