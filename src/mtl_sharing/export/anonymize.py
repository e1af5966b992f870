"""Removes machine-specific settings and paths from a run's config.json."""

from pathlib import Path
from typing import Any

from mtl_sharing.config.identity import Decides, without

# Without effect on the network: a loaded run has their defaults.
_REMOVED = frozenset({
    Decides.PLACE, Decides.INVOCATION, Decides.SCORING, Decides.TRACKING, Decides.START_FILES,
    Decides.DATA_FOLDER,
})  # fmt: skip
# Fields with texts of the user's own, which may look like paths.
_KEPT = ("labels",)


def without_paths(record: dict[str, Any]) -> dict[str, Any]:
    """A run's config.json without folders of a machine.

    The starting weights are removed, because loading does not need them. Any other absolute path
    is cut to its last part, so that a spaCy pipeline in a folder is looked up by its name.
    """
    settings = without(record["settings"], _REMOVED)
    cut: dict[str, Any] = _cut_paths(record | {"settings": settings})
    return cut


def _cut_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: v if k in _KEPT else _cut_paths(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_cut_paths(item) for item in value]
    return path_name(value) if isinstance(value, str) else value


def path_name(text: str) -> str:
    """The last part of an absolute path; any other text unchanged."""
    absolute = text.startswith(("/", "~/", "file://")) and len(Path(text).parts) > 1
    return Path(text).name if absolute else text
