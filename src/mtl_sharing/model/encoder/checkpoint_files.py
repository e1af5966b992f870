"""Finds a checkpoint's files in a local folder, an installed package or a hub repository."""

from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from mtl_sharing.errors import UserError, one_of
from mtl_sharing.utils.checkpoint_names import TokenizerFile
from mtl_sharing.utils.files import read_object

_INDEX = ".index.json"
# In the order in which transformers looks for them. An index names the files of its shards.
_FORMS = tuple((name, f"{name}{_INDEX}") for name in ("model.safetensors", "pytorch_model.bin"))
WEIGHT_FILES = tuple(name for form in _FORMS for name in form)
_CONVERTIBLE = {".h5": "from_tf", ".index": "from_tf", ".msgpack": "from_flax"}
_OTHER_WEIGHTS = (*_CONVERTIBLE, ".ot", ".onnx", ".pt", ".pth", ".ckpt", ".gguf", ".safetensors",
                  ".bin")  # fmt: skip
_CONFIG = "config.json"
_TEXT_FILES = (_CONFIG, *TokenizerFile)
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
        # Most repositories have both forms, so the second is downloaded only without the first.
        for form in _FORMS:
            folder = Path(snapshot_download(source, allow_patterns=[*_TEXT_FILES, *form]))
            present = [folder / name for name in form if (folder / name).exists()]
            if present:
                break
        if present and present[0].name.endswith(_INDEX):
            shards = dict.fromkeys(shards_of(present[0]).values())
            patterns = [str(shard.relative_to(folder)) for shard in shards]
            snapshot_download(source, allow_patterns=patterns)
        return folder
    except (NotFound, HFValidationError):
        raise UserError(where, source, "the id of a public hub repository") from None
    except (LocalEntryNotFoundError, OSError):
        found = f"{source}, which is no local folder, and no connection to the hub"
        allowed = "network access to the hub, a local folder or pkg://package/folder"
        raise UserError(where, found, allowed) from None


def checkpoint_files(folder: Path) -> list[Path]:
    """The files of a checkpoint that a run may read: texts, and weights with all their shards."""
    texts = [folder / name for name in _TEXT_FILES if (folder / name).is_file()]
    first = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    return texts if first is None else [*texts, *weight_paths(first)]


def read_config(folder: Path) -> dict[str, Any]:
    """The content of the checkpoint's config.json.

    Raises:
        UserError: no file, or no JSON object.
    """
    path = folder / _CONFIG
    try:
        return read_object(path, follow=True)
    except FileNotFoundError:
        raise UserError(str(path), "no file", "the config.json of an encoder") from None


def weight_file(folder: Path) -> Path:
    """The weight file in a checkpoint's folder, or the index of its shards.

    Raises:
        UserError: the folder has none.
    """
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    others = sorted(path for path in folder.iterdir() if path.suffix in _OTHER_WEIGHTS)
    found = f"no weights but {one_of(path.name for path in others)}" if others else "no weights"
    allowed = f"a folder with {one_of(WEIGHT_FILES)}"
    for option in dict.fromkeys(_CONVERTIBLE.get(path.suffix) for path in others):
        if option is not None:
            call = f"AutoModel.from_pretrained(FOLDER, {option}=True).save_pretrained(FOLDER)"
            allowed += f"; transformers 4 writes it: {call}"
    raise UserError(str(folder), found, allowed)


def shards_of(index: Path) -> dict[str, Path]:
    """The file of each weight that an index of shards names.

    Raises:
        UserError: a damaged index, or one with a file that is no weight file in its own folder.
    """
    shards = read_object(index, follow=True).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise UserError(f"{index}: weight_map", "no names", "the file of each weight")
    suffix = PurePosixPath(index.name.removesuffix(_INDEX)).suffix
    for name in dict.fromkeys(map(str, shards.values())):
        path = PurePosixPath(name)
        # As text, since a hub's files are links that lead out of the folder.
        inside = not path.is_absolute() and ".." not in path.parts and "\\" not in name
        if not inside or path.suffix != suffix:
            allowed = f"{suffix} files in the folder of the index"
            raise UserError(f"{index}: weight_map", name, allowed)
    return {weight: index.parent / str(name) for weight, name in shards.items()}


def weight_paths(path: Path) -> list[Path]:
    """All files of the weights in ``path``: itself, and its shards where it is an index.

    Raises:
        UserError: as for :func:`shards_of`.
    """
    if not path.name.endswith(_INDEX):
        return [path]
    return [path, *dict.fromkeys(shards_of(path).values())]
