"""How a run was started: settings.json, which the run writes itself and compares where it goes on.

An asked key (``config/asked.py``) has its text there, and a salted digest of its value.
"""

import json
import math
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mtl_sharing.config import Config
from mtl_sharing.config.asked import as_text
from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import SETTINGS
from mtl_sharing.run_folder.manifest import lists, read_listed_object, replace_listed_json
from mtl_sharing.run_folder.results import SCHEMA
from mtl_sharing.utils.nested import get

_KEY = re.compile(r"[\w.-]+")
_AS_WRITTEN = "the file as the run wrote it"


@dataclass(frozen=True)
class Start:
    """How a command starts a run.

    Attributes:
        texts: what the config says of each asked key.
        sweep: name of the sweep that the run is a trial of.
        is_new: whether the folder must hold no run yet.
        write_more: writes other files of a run that begins, after settings.json.
        launched: the working folder in which the command began.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    sweep: str | None = None
    is_new: bool = False
    write_more: Callable[[Path], object] | None = None
    launched: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True)
class FirstStart:
    """The content of settings.json.

    Attributes:
        settings: nested, with a text in place of the value of each asked key.
        asked: text, salt and digest of each asked key.
    """

    settings: Mapping[str, Any]
    asked: Mapping[str, Mapping[str, str]]
    sweep: str | None

    @property
    def texts(self) -> dict[str, str]:
        """The text of each asked key."""
        return {key: asked["text"] for key, asked in self.asked.items()}

    def has(self, key: str, settings: Mapping[str, Any]) -> bool:
        """Whether an asked key has the value in ``settings`` that the run began with."""
        asked = self.asked[key]
        return asked["sha256"] == _digest(asked["salt"], get(settings, key))


def pin_start(config: Config, start: Start, folder: Path, has_begun: bool) -> Start:
    """Writes the start of a run that begins; returns that of one that goes on with its texts.

    Raises:
        UserError: settings.json is damaged.
    """
    if not has_begun:
        write_start(config, start, folder)
        return start
    first = read_start(folder)
    return start if first is None else replace(start, texts={**start.texts, **first.texts})


def write_start(config: Config, start: Start, folder: Path) -> None:
    """Writes settings.json, and what else the start writes, into the folder of a new run."""
    settings, asked = asdict(config), {}
    for key, text in start.texts.items():
        salt = secrets.token_hex(16)
        digest = _digest(salt, get(settings, key))
        asked[key] = {"text": text, "salt": salt, "sha256": digest}
    record = {"settings": _finite(as_text(settings, start.texts)), "asked": asked}
    where = {"cwd": os.getcwd(), "sweep": start.sweep}
    replace_listed_json(folder, SETTINGS, {"schema": SCHEMA, **record, **where})
    if start.write_more is not None:
        start.write_more(folder)


def _finite(value: Any) -> Any:
    """Values that JSON has: inf and nan, which no run goes on with, as texts."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _digest(salt: str, value: Any) -> str:
    return sha256((salt + json.dumps(value, sort_keys=True)).encode()).hexdigest()


def read_start(folder: Path) -> FirstStart | None:
    """The start of the run in ``folder``; None for a run of a version without settings.json.

    Raises:
        UserError: the file is damaged, or was removed.
        OSError: the file cannot be read.
    """
    path = folder / SETTINGS
    try:
        record = read_listed_object(folder, SETTINGS)
    except FileNotFoundError:
        if lists(folder, SETTINGS):
            raise UserError(str(path), "no file, which the run wrote", _AS_WRITTEN) from None
        return None
    if record.get("schema") != SCHEMA:
        raise UserError(str(path), f"schema {record.get('schema')}", f"{SCHEMA}; {_AS_WRITTEN}")
    settings, asked, sweep = (record.get(name) for name in ("settings", "asked", "sweep"))
    if not (isinstance(settings, dict) and settings):
        raise UserError(str(path), "no settings", _AS_WRITTEN)
    if not (isinstance(asked, dict) and all(_is_asked(*item) for item in asked.items())):
        raise UserError(str(path), "no texts and digests of asked keys", _AS_WRITTEN)
    return FirstStart(settings, asked, sweep if isinstance(sweep, str) else None)


def is_key(key: str) -> bool:
    """Whether a text may be a dotted key, which is printed as part of a command."""
    return _KEY.fullmatch(key) is not None


def _is_asked(key: str, asked: Any) -> bool:
    return is_key(key) and all(
        isinstance(get(asked, name), str) for name in ("text", "salt", "sha256")
    )
