"""Writes values as JSON, which has no NaN and no infinite number."""

import json
import logging
import math
from functools import cache
from typing import Any

log = logging.getLogger(__name__)


def json_text(value: Any) -> str:
    """The value as JSON; null stands for NaN and, with one warning, for an infinite number."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        _warn_of_infinite()
    return None if isinstance(value, float) and not math.isfinite(value) else value


@cache
def _warn_of_infinite() -> None:
    log.warning("infinite numbers, as 1e400 is read, are written as null: JSON has none")
