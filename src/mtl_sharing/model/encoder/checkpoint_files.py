"""Finds a checkpoint's files in a local folder, an installed package or a hub repository."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from mtl_sharing.errors import UserError, one_of

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_CONFIG = "config.json"
_TEXT_FILES = (_CONFIG, "tokenizer_config.json", "tokenizer.json", "vocab.txt",
               "vocab.json", "merges.txt")  # fmt: skip
_PACKAGE = "pkg://"


def checkpoint_folder(
    source: str, where: str = "encoder.checkpoint", config_only: bool = False
) -> Path:
    """The local folder of ``source``, downloaded when it is a hub id.

    Args:
        config_only: of a hub id, download config.json alone: enough to describe an encoder.

    Raises:
        UserError: no such folder, package or hub id, or no network.
    """
    if source.startswith(_PACKAGE):
        return _package_folder(source, where)
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if source.startswith((".", "/", "~")) or source.count("/") > 1 or path.exists():
        raise UserError(where, source, "an existing folder, a hub id or pkg://package/folder")
    return _hub_folder(source, where, config_only)


def is_local(source: str) -> bool:
    """Whether a checkpoint is a folder or in a package, so that nothing is downloaded."""
    return source.startswith(_PACKAGE) or Path(source).expanduser().is_dir()


def _package_folder(source: str, where: str) -> Path:
    package, _, inside = source.removeprefix(_PACKAGE).partition("/")
    try:
        folder = Path(str(resources.files(package) / inside))
    except (ImportError, TypeError, ValueError):  # TypeError: a module, not a package
        hint = f"an installed package (pip install {package.replace('_', '-')})"
        raise UserError(where, source, hint) from None
    if not folder.is_dir():
        raise UserError(where, source, f"a folder inside the package {package}")
    return folder


def _hub_folder(source: str, where: str, config_only: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.errors import RepositoryNotFoundError as NotFound

    try:
        if config_only:
            return Path(snapshot_download(source, allow_patterns=[_CONFIG]))
        folder = Path(snapshot_download(source, allow_patterns=[*_TEXT_FILES, WEIGHT_FILES[0]]))
        # Most repositories have both forms, so the second is downloaded only without the first.
        if not (folder / WEIGHT_FILES[0]).exists():
            folder = Path(snapshot_download(source, allow_patterns=[*_TEXT_FILES, WEIGHT_FILES[1]]))
        return folder
    except (NotFound, HFValidationError):
        raise UserError(where, source, "the id of a public hub repository") from None
    except (LocalEntryNotFoundError, OSError):
        found = f"{source}, which is no local folder, and no connection to the hub"
        allowed = "network access to the hub, a local folder or pkg://package/folder"
        raise UserError(where, found, allowed) from None


def checkpoint_files(folder: Path) -> list[Path]:
    """The files of a checkpoint that a run may read: texts, and weights with all their shards."""
    weights = next((found for name in WEIGHT_FILES if (found := _with_shards(folder, name))), [])
    return [*(folder / name for name in _TEXT_FILES if (folder / name).is_file()), *weights]


def _with_shards(folder: Path, name: str) -> list[Path]:
    stem, _, extension = name.partition(".")
    return sorted(folder.glob(f"{stem}*.{extension}*"))


def read_config(folder: Path) -> dict[str, Any]:
    """The content of the checkpoint's config.json.

    Raises:
        UserError: no file, or no JSON object.
    """
    path = folder / _CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(str(path), "no file", "the config.json of an encoder") from None
    except ValueError as error:
        raise UserError(str(path), error, "a JSON object") from None
    if not isinstance(config, dict):
        raise UserError(str(path), type(config).__name__, "a JSON object")
    return config


def weight_file(folder: Path) -> Path:
    """The weight file in a checkpoint's folder, safetensors before ``.bin``.

    Raises:
        UserError: the folder has neither.
    """
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    raise UserError(str(folder), "no weights", f"a folder with {one_of(WEIGHT_FILES)}")
