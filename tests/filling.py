"""An entry, a store and processes that fill it, for the tests of the cache."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np

from mtl_sharing.cache.store import ArrayStore, Entry

KIND = "numbers"
ARRAYS = {
    "tokens": np.arange(7 * 11, dtype=np.int32).reshape(7, 11),
    "types": np.arange(13, dtype=np.uint8),
    "nothing": np.zeros((0, 5), np.float16),
}
ABOUT = {"texts": 7, "where": "a test", "rates": [0.25, None]}


def key_of(text: object) -> str:
    """A key for each text."""
    return hashlib.sha256(str(text).encode()).hexdigest()


def name_of(text: object) -> str:
    """The name of the folder with the entry of ``text``."""
    return f"{KIND}-{key_of(text)}"


def store_in(folder: Path, max_bytes: int = 10**6) -> ArrayStore:
    """A store in a folder that does not exist yet."""
    return ArrayStore(folder / "store", max_bytes)


def fill(store: ArrayStore, text: object, arrays=ARRAYS) -> Entry:
    """Fetches the entry of ``text``; ``arrays`` are what is computed."""
    return store.fetch(KIND, key_of(text), lambda: Entry(arrays, ABOUT))


def is_stored(store: ArrayStore, text: object) -> bool:
    """Whether the store has the entry of ``text``."""
    return store.open(KIND, key_of(text)) is not None


def holds(entry: Entry, arrays=ARRAYS) -> bool:
    """Whether an entry is what was given to ``fill``."""
    return (
        entry.about == ABOUT
        and set(entry.arrays) == set(arrays)
        and all(np.array_equal(entry.arrays[name], value) for name, value in arrays.items())
        and all(entry.arrays[name].dtype == value.dtype for name, value in arrays.items())
    )


def names_in(folder: Path) -> set[str]:
    """Every name in the store's folder."""
    return {path.name for path in (folder / "store").iterdir()}


def start(script: str, *words: object) -> subprocess.Popen:
    """A Python process that runs ``script``; it can import this module."""
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); from filling import *\n{script}"
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
