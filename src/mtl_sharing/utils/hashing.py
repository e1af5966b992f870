"""Digests of files, texts, arrays and weights, in hexadecimal, and seeds of random numbers."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl_sharing.utils.files import open_regular

ROW_BYTES = 16
"""Bytes of the digest of a row's texts."""


def random_seed(seed: int, draw: int, names: Iterable[str]) -> int:
    """The seed of the random numbers of ``names`` in a draw, 63 bits."""
    text = f"{seed} {draw} {' '.join(names)}"
    return int.from_bytes(sha256(text.encode()).digest()[:8], "little") >> 1


def file_facts(path: Path) -> dict[str, Any]:
    """Bytes and digest (``sha256``) of a file, and the lines of a text."""
    digest, size, lines, is_text = sha256(), 0, 0, True
    with open_regular(path, follow=True) as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
            is_text = is_text and b"\0" not in block
            lines += block.count(b"\n") if is_text else 0
    return ({"lines": lines} if is_text else {}) | {"bytes": size, "sha256": digest.hexdigest()}


def digest_file(path: Path) -> str:
    """The SHA-256 of a file."""
    digest: str = file_facts(path)["sha256"]
    return digest


def digest_tensors(weights: Mapping[str, Tensor]) -> str:
    """A digest of named weights on any device."""
    digest = sha256()
    for name, weight in weights.items():
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def digest_arrays(parts: Iterable[tuple[str, Iterable[np.ndarray[Any, Any]]]]) -> str:
    """A digest of labelled groups of arrays, in their order."""
    digest = sha256()
    for label, arrays in parts:
        digest.update(label.encode())
        for array in arrays:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def digest_texts(heads: Iterable[bytes], texts: Sequence[str] | Sequence[tuple[str, str]]) -> str:
    """A digest of ``heads`` and all texts, in their order."""
    parts = (part for text in texts for part in ((text,) if isinstance(text, str) else text))
    raw = [part.encode("utf-8", "surrogatepass") for part in parts]
    digest = sha256()
    # Lengths before content, so that no two lists of texts give the same bytes.
    for block in heads:
        digest.update(len(block).to_bytes(8, "little") + block)
    digest.update(np.array([len(part) for part in raw], dtype="<i8").tobytes())
    digest.update(b"".join(raw))
    return digest.hexdigest()


def digest_rows(rows: Sequence[tuple[str, ...]]) -> NDArray[np.uint8]:
    """A digest of the texts of each row, shape (rows, 16)."""
    digests = []
    for texts in rows:
        raw = [text.encode("utf-8", "surrogatepass") for text in texts]
        # Lengths before content, so that no two rows give the same bytes.
        head = b"".join(len(text).to_bytes(8, "little") for text in raw)
        digests.append(blake2b(head + b"".join(raw), digest_size=ROW_BYTES).digest())
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, ROW_BYTES)
