"""Nested mappings, such as configs and results: flattening, reading by path, difference."""

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(values: Mapping[str, Any], separator: str = ".") -> Iterator[tuple[str, Any]]:
    """Yields every leaf with its joined path, in order; an empty mapping is a leaf."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            for path, leaf in flatten(value, separator):
                yield f"{name}{separator}{path}", leaf
        else:
            yield name, value


def get(values: Any, path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    for name in path.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def set_at(values: dict[str, Any], path: str, value: Any) -> None:
    """Sets the value at a dotted path; makes the mappings above it where there are none."""
    above, _, name = path.rpartition(".")
    for part in above.split(".") if above else ():
        inner = values.get(part)
        values[part] = values = inner if isinstance(inner, dict) else {}
    values[name] = value


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The values of ``new`` that are missing in ``old`` or differ there, nested as in ``new``."""
    changed: dict[str, Any] = {}
    for name, value in new.items():
        if isinstance(value, Mapping) and isinstance(old.get(name), Mapping):
            inner = difference(old[name], value)
            changed |= {name: inner} if inner else {}
        elif name not in old or old[name] != value:
            changed[name] = value
    return changed
