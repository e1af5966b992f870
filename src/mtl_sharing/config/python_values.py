"""Overrides from Python values, in which a text stands for itself."""

from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any

from mtl_sharing.config.quoting import quoted_text
from mtl_sharing.errors import UserError

_VALUES = "a text, a number, True, False, None, or a list or dict of these"


def override_texts(settings: Mapping[str, Any]) -> list[str]:
    """The overrides of ``{"sharing": "hybrid", "trainer": {"max_steps": 100}}``.

    A key is whatever may stand before the ``=`` of an override, such as ``optimizer.lr`` or
    ``+experiment``. Fields of a dict are set one by one; others of the same group stay.

    Raises:
        UserError: a key that is no text, or a value that no override can hold.
    """
    for key in settings:
        if not isinstance(key, str) or not key or "=" in key:
            raise UserError("settings", f"the key {key!r}", "keys such as 'optimizer.lr'")
    return [f"{key}={_text(key, value)}" for key, value in settings.items()]


def _text(key: str, value: Any) -> str:
    """A value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Integral):  # NumPy's, too
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(value, str | PurePath):
        return quoted_text(str(value))
    if isinstance(value, list | tuple):
        items = (_text(f"{key}[{number}]", item) for number, item in enumerate(value))
        return f"[{','.join(items)}]"
    if isinstance(value, Mapping):
        fields = (f"{name}: {_text(f'{key}.{name}', item)}" for name, item in value.items())
        return f"{{{','.join(fields)}}}"
    raise UserError(key.lstrip("+~"), repr(value), _VALUES)
