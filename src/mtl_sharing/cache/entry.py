"""One cache entry: a folder of .npy files and a record of what they must hold."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

RECORD = "entry.json"
_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Entry:
    """The content of an entry.

    Attributes:
        arrays: arrays of plain numbers by name; read-only where they are mapped from files.
        about: what the arrays were made from, and further values that JSON can hold.
    """

    arrays: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any]


class Damaged(Exception):
    """An entry differs from what was written; the message names the difference."""


def write_record(folder: Path, entry: str, about: Mapping[str, Any], checksum: bool) -> None:
    """Writes the record of the arrays in ``folder``.

    Args:
        entry: the final name of the folder.
        checksum: whether the record holds a checksum of each array's content.

    Raises:
        OSError: a file cannot be read, or the record cannot be written.
    """
    paths = sorted(folder.glob("*.npy"))
    record = {
        "schema": _SCHEMA,
        "entry": entry,
        "about": dict(about),
        "arrays": {path.stem: _describe(path, checksum) for path in paths},
        "bytes": sum(path.stat().st_size for path in paths),
    }
    text = json.dumps(record | {"crc32": _checksum(record)}, indent=2, allow_nan=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def _describe(path: Path, checksum: bool) -> dict[str, Any]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    content = crc32(array) if checksum else None
    return {"dtype": array.dtype.str, "shape": list(array.shape), "crc32": content}


def _checksum(record: Mapping[str, Any]) -> int:
    return crc32(json.dumps(record, sort_keys=True).encode())


def read_entry(folder: Path) -> Entry:
    """The entry in ``folder``, its arrays mapped into memory.

    Raises:
        Damaged: the record or an array is missing, or is not what was written.
        OSError: an existing file cannot be read.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["schema"] != _SCHEMA:
            raise Damaged(f"schema {record['schema']}, expected {_SCHEMA}")
        if record.pop("crc32") != _checksum(record) or record["entry"] != folder.name:
            raise Damaged(f"{RECORD} is not what was written")
        paths = {name: folder / f"{name}.npy" for name in record["arrays"]}
        if sum(path.stat().st_size for path in paths.values()) != record["bytes"]:
            raise Damaged("an array's file has another size")
        arrays = {name: _map(paths[name], form) for name, form in record["arrays"].items()}
        return Entry(arrays, record["about"])
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Damaged(f"no file {Path(error.filename).name}") from None
    # ValueError: bad JSON or UTF-8. The others: a record of another form.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from None


def _map(path: Path, form: Mapping[str, Any]) -> NDArray[Any]:
    dtype, shape = np.dtype(form["dtype"]), tuple(form["shape"])
    # The content ends the file. The record gives its form, so no damaged header is parsed.
    offset = path.stat().st_size - math.prod(shape) * dtype.itemsize
    # A plain array over the same pages: numpy's own class for mapped ones is slow to index.
    array: NDArray[Any] = np.asarray(np.memmap(path, dtype, "r", offset, shape))
    if form["crc32"] is not None and crc32(array.data) != form["crc32"]:
        raise Damaged(f"{path.name} has another content")
    return array
