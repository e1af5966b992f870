"""Hidden states above the frozen lower layers: computed once per text, kept on disk for all runs.

A frozen layer runs without dropout, so the states of a text above the last frozen layer are the
same in every step, run and seed. They are computed in batches that depend on the texts alone, so
that every run that fills the cache stores the same numbers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtl_sharing.cache.store import ArrayStore, Entry
from mtl_sharing.data.tokens.batches import pack
from mtl_sharing.data.tokens.stored_states import (
    STORED,
    StateFile,
    StoredStates,
    checksum,
    to_array,
)
from mtl_sharing.data.tokens.tokenizing import TokenRows
from mtl_sharing.model.encoder.initialization import Tower
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.planned_encoder import PlannedEncoder
from mtl_sharing.model.routing import PackedRows, first_tokens, mean_tokens
from mtl_sharing.plan.plan import SharingPlan
from mtl_sharing.utils.device import autocast

KIND = "states"
_SCHEMA = 1  # raise it when equal texts and weights give other states
_BLOCK = 64  # sequences computed together
_RECORD_BYTES = 8192  # bytes of an entry's record and its files' headers, at most
_TEXT = "text"
# Fields of the shape that change no state; the number of frozen layers is digested on its own.
_WITHOUT_EFFECT = ("layers", "pooler", "dropout", "attention_dropout")

_Reduce = Callable[[list[PackedRows]], list[PackedRows]]
READ: Mapping[str, _Reduce] = {"all": lambda rows: rows, "first": first_tokens, "mean": mean_tokens}
"""The states of each sequence that a task reads: all, the first token's, or their mean."""


@dataclass(frozen=True)
class FrozenLayers:
    """The frozen lower layers of a plan as a separate encoder.

    Args:
        shape, tower: shape and weights of one whole tower.
        layers: number of its lowest layers that are frozen.
        precision: ``fp32`` or ``bf16``, in which the states are computed and kept.
    """

    shape: EncoderShape
    layers: int
    tower: Tower
    precision: str
    device: torch.device

    @cached_property
    def encoder(self) -> PlannedEncoder:
        """The layers on the device, in evaluation mode."""
        plan = SharingPlan.parse(f"F{self.layers}", (_TEXT,), self.layers)
        lower = EncoderShape(**asdict(self.shape) | {"layers": self.layers, "pooler": False})
        return PlannedEncoder(lower, plan, self.tower).to(self.device).eval()

    @cached_property
    def digest(self) -> str:
        """A digest of everything but the text that decides the states."""
        shape = {k: v for k, v in asdict(self.shape).items() if k not in _WITHOUT_EFFECT}
        how = f"{torch.__version__} {self.precision} {self.device.type}"
        digest = sha256(f"{_SCHEMA} {how} {shape} {self.layers}".encode())
        for stage in ("embeddings", *(f"layer.{depth}" for depth in range(self.layers))):
            for name, weight in sorted(self.tower[stage].items()):
                digest.update(f"{stage}.{name} {weight.dtype} {tuple(weight.shape)}".encode())
                digest.update(weight.detach().cpu().flatten().numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class StateCache:
    """Computes the states of texts once and keeps them in a store."""

    store: ArrayStore
    frozen: FrozenLayers

    def key(self, rows: TokenRows, read: str) -> str:
        """A hexadecimal digest of everything that decides the states of these texts."""
        digest = sha256(f"{self.frozen.digest} {read} {len(rows.offsets)}".encode())
        arrays = (rows.tokens, rows.token_types, rows.offsets, rows.tags)
        for array in (array for array in arrays if array is not None):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def size(self, rows: TokenRows, read: str) -> int:
        """Bytes that an entry with the states of these texts takes at most."""
        texts = len(rows.lengths)
        vectors = len(rows.tokens) if read == "all" else texts
        values = vectors * self.frozen.shape.hidden * STORED[self.frozen.precision].itemsize
        return values + 12 * texts + _RECORD_BYTES

    def states(
        self, rows: TokenRows, read: str, advance: Callable[[int], None] | None
    ) -> StoredStates | None:
        """The states of these texts; None where the store neither has nor takes them.

        Args:
            read: one of :data:`READ`.
            advance: called with the number of texts computed since the last call; None opens what
                is stored and computes nothing.
        """
        key = self.key(rows, read)
        if advance is None:
            entry = self.store.open(KIND, key)
        else:
            with self.store.exclusive(KIND, key) as entry:
                if entry is None:
                    write = partial(self._write, rows, read, advance)
                    entry = self.store.write(KIND, key, self.size(rows, read), write, False)
        return None if entry is None else self._stored(entry, key)

    def _write(
        self, rows: TokenRows, read: str, advance: Callable[[int], None], folder: Path
    ) -> Mapping[str, Any]:
        """Computes the states and writes them as .npy files; returns the entry's ``about``."""
        lengths = rows.lengths if read == "all" else np.ones_like(rows.lengths)
        offsets = np.append(0, lengths.cumsum())
        sums = np.zeros(lengths.shape, np.uint32)
        shape = (int(offsets[-1]), self.frozen.shape.hidden)
        dtype = STORED[self.frozen.precision]
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        # Written, not mapped: on a full disk a write raises, where mapped memory kills the process.
        with (folder / "values.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            start, width = file.tell(), shape[1] * dtype.itemsize
            file.truncate(start + shape[0] * width)  # the whole size counts towards the bound
            for numbers, states in self._blocks(rows, read, advance):
                ends = np.append(0, lengths[numbers].cumsum())
                for n, (first, last) in zip(numbers, pairwise(ends), strict=True):
                    text = np.ascontiguousarray(states[first:last])
                    file.seek(start + int(offsets[n]) * width)
                    file.write(text.data)
                    sums[n] = checksum(text)
        np.save(folder / "sums.npy", sums)
        np.save(folder / "offsets.npy", offsets)
        return {"layers": self.frozen.layers, "read": read, "texts": len(lengths)}

    def _blocks(
        self, rows: TokenRows, read: str, advance: Callable[[int], None]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
        """Numbers of texts of similar length, and their states as stored."""
        encoder, device = self.frozen.encoder, self.frozen.device
        order = np.argsort(rows.lengths, kind="stable")
        for start in range(0, len(order), _BLOCK):
            numbers = order[start : start + _BLOCK]
            with torch.inference_mode(), autocast(self.frozen.precision, device):
                text = pack([rows], numbers).to(device)
                (states,) = READ[read](encoder({_TEXT: text}, [_TEXT] * (read == "first")))
            yield numbers, to_array(states.values.cpu(), self.frozen.precision)
            advance(len(numbers))

    def _stored(self, entry: Entry, key: str) -> StoredStates:
        arrays = entry.arrays
        numbers = np.arange(len(arrays["sums"]))
        # The callback must not hold self, which holds the tower.
        file = StateFile(partial(self.store.discard, KIND, key, "values.npy has another content"))
        return StoredStates(arrays["values"], arrays["offsets"], arrays["sums"], numbers, file)
