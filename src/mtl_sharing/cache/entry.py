"""One entry of the store: a folder of .npy files, and the record that says what they must hold."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

RECORD = "entry.json"
SCHEMA = 1
_LONGEST_HEADER = 10_000  # numpy reads no longer one either
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_KEY = re.compile(r"[0-9a-f]{16,128}")


@dataclass(frozen=True, eq=False)
class Entry:
    """What an entry holds.

    Attributes:
        arrays: by name; they lie in the files and cannot be written.
        about: what the arrays were made from and what else belongs to them, as JSON has it.
    """

    arrays: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any]


class Damaged(Exception):
    """An entry is not what was written; the message says in what."""


def entry_name(kind: str, key: str) -> str:
    """The name of an entry's folder.

    Raises:
        ValueError: ``kind`` is no plain name, or ``key`` no hexadecimal digest.
    """
    if not _NAME.fullmatch(kind) or not _KEY.fullmatch(key):
        raise ValueError(f"no plain name with a hexadecimal digest: {kind!r}, {key!r}")
    return f"{kind}-{key}"


def is_entry(name: str) -> bool:
    """Whether a folder of the store is an entry, by its name."""
    kind, _, key = name.rpartition("-")
    return bool(_NAME.fullmatch(kind) and _KEY.fullmatch(key))


def array_path(folder: Path, name: str) -> Path:
    """The file of one array.

    Raises:
        ValueError: ``name`` is no plain name.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"no plain name: {name!r}")
    return folder / f"{name}.npy"


def write_record(
    folder: Path, entry: str, about: Mapping[str, Any], names: Iterable[str], checksum: bool
) -> None:
    """Writes down what the arrays ``names``, which lie in ``folder``, hold now.

    Args:
        entry: the name that the folder will have.
        checksum: whether to sum their content too, or their form alone.

    Raises:
        OSError: a file cannot be read, or the record not be written.
        ValueError: a file is no .npy file of plain numbers.
    """
    arrays = {name: _describe(array_path(folder, name), checksum) for name in sorted(names)}
    size = sum(array_path(folder, name).stat().st_size for name in arrays)
    record = {"schema": SCHEMA, "entry": entry, "about": dict(about), "arrays": arrays}
    record["bytes"] = size
    text = json.dumps(record | {"crc32": _sum(record)}, indent=2, allow_nan=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def _describe(path: Path, checksum: bool) -> dict[str, Any]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return {
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "header_crc32": crc32(_header(path, array.offset)),
        "crc32": crc32(array) if checksum else None,
    }


def _header(path: Path, length: int) -> bytes:
    with path.open("rb") as file:
        return file.read(length)


def _sum(record: Mapping[str, Any]) -> int:
    return crc32(json.dumps(record, sort_keys=True).encode())


def read_entry(folder: Path, verify: bool) -> Entry:
    """The entry in ``folder``, its arrays mapped into memory.

    Args:
        verify: whether to hold each array's content against its sum, where there is one.

    Raises:
        Damaged: the record or an array is missing, or is not what was written.
        OSError: a file is there and cannot be read.
    """
    try:
        record = _read_record(folder / RECORD)
        arrays = {
            name: _mapped(array_path(folder, name), facts, verify)
            for name, facts in record["arrays"].items()
        }
        return Entry(arrays, record["about"])
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Damaged(f"no file {Path(error.filename).name}") from None
    # ValueError: bad JSON, UTF-8 or .npy header; the others: a record of another form.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from None


def _read_record(path: Path) -> dict[str, Any]:
    record = json.loads(path.read_text(encoding="utf-8"))
    if record["schema"] != SCHEMA:
        raise Damaged(f"the schema {record['schema']} where {SCHEMA} is known")
    found = record.pop("crc32")
    if found != _sum(record) or record["entry"] != path.parent.name:
        raise Damaged(f"{RECORD} is not what was written")
    return dict(record)


def _mapped(path: Path, facts: Mapping[str, Any], verify: bool) -> NDArray[Any]:
    dtype, shape = np.dtype(facts["dtype"]), tuple(facts["shape"])
    header = path.stat().st_size - math.prod(shape) * dtype.itemsize
    # Held against its sum before it is read, so that numpy parses only what was written.
    if not 0 < header < _LONGEST_HEADER or crc32(_header(path, header)) != facts["header_crc32"]:
        raise Damaged(f"{path.name} has another size or header")
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if verify and facts["crc32"] is not None and crc32(array) != facts["crc32"]:
        raise Damaged(f"{path.name} has another content")
    # A plain array over the same pages: numpy's own class for mapped ones is slow to index.
    return np.asarray(array)
