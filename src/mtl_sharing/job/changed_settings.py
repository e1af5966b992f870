"""The settings in which a start differs from those that a run began with."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mtl_sharing.config import Config
from mtl_sharing.config.asked import as_written, leaves
from mtl_sharing.config.identity import Decides, is_left_out, without
from mtl_sharing.config.saved import saved_config
from mtl_sharing.job.start import FirstStart, read_start
from mtl_sharing.run_folder.layout import CONFIG
from mtl_sharing.run_folder.manifest import read_listed_object
from mtl_sharing.utils.nested import difference, flatten, get

FREE = frozenset({
    Decides.INVOCATION, Decides.PLACE, Decides.TRACKING, Decides.PRECISION, Decides.DATA_FOLDER,
})  # fmt: skip
"""Keys in which two starts of one run may differ. Precision and data are compared by themselves."""


def changed_settings(
    config: Config, folder: Path, free: Collection[Decides]
) -> dict[str, tuple[Any, Any]]:
    """The settings in which the run in ``folder`` differs from ``config``: theirs, and ours.

    Compares config.json, and the digests in settings.json, where the run has it.

    Args:
        free: what a key that is not compared decides.

    Raises:
        UserError: damaged settings, or those of another version.
    """
    first, settings, path = read_start(folder), _as_json(config), folder / CONFIG
    record = get(read_listed_object(folder, CONFIG), "settings") or {}
    if first is None:  # a run of an earlier version
        return _changed(path, record, settings, free)
    shown = _as_json(saved_config(path, as_written(settings, first.texts)))
    changed = _changed(path, record, shown, free)
    return {**changed, **dict(_changed_asked(first, settings, free))}


def _as_json(config: Config) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return values


def _changed(
    path: Path, began: Mapping[str, Any], settings: dict[str, Any], free: Collection[Decides]
) -> dict[str, tuple[Any, Any]]:
    theirs, ours = without(_as_json(saved_config(path, began)), free), without(settings, free)
    changed = [*flatten(difference(theirs, ours)), *flatten(difference(ours, theirs))]
    return {key: (get(theirs, key), get(ours, key)) for key, _ in changed}


def _changed_asked(
    first: FirstStart, settings: Mapping[str, Any], free: Collection[Decides]
) -> Iterator[tuple[str, tuple[str, str]]]:
    """The asked keys with another value than the run began with, which is not known."""
    for key, text in first.texts.items():
        is_free = all(is_left_out(leaf, free) for leaf in leaves(settings, key))
        if not (is_free or first.has(key, settings)):
            yield key, (f"another value of {text}", "this value")
