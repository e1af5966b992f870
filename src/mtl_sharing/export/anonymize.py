"""Removes machine-specific settings and paths from a run's config.json."""

from pathlib import Path
from typing import Any

from mtl_sharing.config.identity import Decides, without

# Settings that say nothing of the network; without them they have their defaults.
_LEFT_OUT = frozenset({
    Decides.PLACE, Decides.INVOCATION, Decides.SCORING, Decides.TRACKING, Decides.START_FILES,
    Decides.DATA_FOLDER,
})  # fmt: skip
# Words of the user's own, whatever they look like.
_KEPT = ("labels",)


def without_places(record: dict[str, Any]) -> dict[str, Any]:
    """A run's config.json without folders of a machine.

    Where the run began is left out, as loading it asks for none of it; any other absolute path is
    its last part, so that a pipeline that stood in a folder is looked for by its name.
    """
    settings = without(record["settings"], _LEFT_OUT)
    found: dict[str, Any] = _named_alone(record | {"settings": settings})
    return found


def _named_alone(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: v if k in _KEPT else _named_alone(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_named_alone(each) for each in value]
    return path_name(value) if isinstance(value, str) else value


def path_name(text: str) -> str:
    """The last part of an absolute path; any other text as it is."""
    far = text.startswith(("/", "~/", "file://")) and len(Path(text).parts) > 1
    return Path(text).name if far else text
