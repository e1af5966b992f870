"""settings.json: how a run was started, which the run writes itself and reads where it goes on.

An interpolated key (``config/interpolations.py``) has its text there, and a salted digest of its
value.
"""

import json
import math
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mtl_sharing.config import Config
from mtl_sharing.config.interpolations import as_text
from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.discovery import refuse_used_folder
from mtl_sharing.run_folder.layout import AS_WRITTEN, SETTINGS
from mtl_sharing.run_folder.lock import hold
from mtl_sharing.run_folder.manifest import lists, read_listed_object, replace_listed_json
from mtl_sharing.run_folder.results import SCHEMA
from mtl_sharing.utils.nested import get

_KEY = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class RunStart:
    """How a command starts a run.

    Attributes:
        texts: what the config says of each interpolated key.
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
class SavedSettings:
    """Settings of a run as settings.json holds them.

    Attributes:
        settings: nested, with a text in place of the value of each interpolated key.
        interpolated: text, salt and digest of each interpolated key.
    """

    settings: Mapping[str, Any]
    interpolated: Mapping[str, Mapping[str, str]]
    sweep: str | None

    @property
    def texts(self) -> dict[str, str]:
        """The text of each interpolated key."""
        return {key: facts["text"] for key, facts in self.interpolated.items()}

    def has(self, key: str, settings: Mapping[str, Any]) -> bool:
        """Whether an interpolated key has the value in ``settings`` that the run began with."""
        facts = self.interpolated[key]
        return facts["sha256"] == _digest(facts["salt"], get(settings, key))


@contextmanager
def hold_run(folder: Path, start: RunStart) -> Iterator[None]:
    """Holds a run's folder within the block; raises UserError where it is not the start's."""
    with hold(folder):
        if start.is_new:  # again: of two starts at once, the first may have ended meanwhile
            refuse_used_folder(folder)
        yield


def pin_start(config: Config, start: RunStart, folder: Path, has_begun: bool) -> RunStart:
    """Writes the start of a run that begins; returns that of one that goes on with its texts.

    Raises:
        UserError: settings.json is damaged.
    """
    if not has_begun:
        write_settings(config, start, folder)
        return start
    first = read_settings(folder)
    return start if first is None else replace(start, texts={**start.texts, **first.texts})


def write_settings(config: Config, start: RunStart, folder: Path) -> None:
    """Writes settings.json, and what else the start writes, into the folder of a new run."""
    settings, interpolated = asdict(config), {}
    for key, text in start.texts.items():
        salt = secrets.token_hex(16)
        digest = _digest(salt, get(settings, key))
        interpolated[key] = {"text": text, "salt": salt, "sha256": digest}
    record = {"settings": _finite(as_text(settings, start.texts)), "interpolated": interpolated}
    # The token tells the run's checkpoints from those of others.
    where = {"cwd": os.getcwd(), "sweep": start.sweep, "run": secrets.token_hex(16)}
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


def read_settings(folder: Path) -> SavedSettings | None:
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
            raise UserError(str(path), "no file, which the run wrote", AS_WRITTEN) from None
        return None
    if record.get("schema") != SCHEMA:
        raise UserError(str(path), f"schema {record.get('schema')}", f"{SCHEMA}; {AS_WRITTEN}")
    settings, facts, sweep = (record.get(n) for n in ("settings", "interpolated", "sweep"))
    if not (isinstance(settings, dict) and settings):
        raise UserError(str(path), "no settings", AS_WRITTEN)
    if not (isinstance(facts, dict) and all(_is_interpolated(*item) for item in facts.items())):
        raise UserError(str(path), "no texts and digests of interpolated keys", AS_WRITTEN)
    return SavedSettings(settings, facts, sweep if isinstance(sweep, str) else None)


def is_key(key: str) -> bool:
    """Whether a text may be a dotted key, which is printed as part of a command."""
    return _KEY.fullmatch(key) is not None


def _is_interpolated(key: str, facts: Any) -> bool:
    return is_key(key) and all(
        isinstance(get(facts, name), str) for name in ("text", "salt", "sha256")
    )
