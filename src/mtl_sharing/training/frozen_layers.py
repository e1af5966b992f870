"""What the frozen lower layers make of each text: computed once, kept on disk, read by many runs.

A frozen layer runs without dropout, so a text's states above the last of them are the same in
every step, run and seed. They are computed in batches that depend on the texts alone, so that who
fills the cache changes no number.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtl_sharing.cache.entry import Entry
from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.cache.writer import EntryWriter
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
from mtl_sharing.model.planned_encoder import PlannedEncoder, first_tokens, mean_tokens
from mtl_sharing.model.routing import JoinedRow
from mtl_sharing.plan import SharingPlan
from mtl_sharing.utils.device import autocast

KIND = "states"
_SCHEMA = 1  # to be raised when equal texts and weights give other states
_BLOCK = 64  # sequences computed together
_ABOUT = 8192  # bytes of an entry's record and its files' headers, at most
_TEXT = "text"
# Fields of the shape that change no state; the number of layers is counted for itself.
_WITHOUT_EFFECT = ("layers", "pooler", "dropout", "attention_dropout")

_Reduce = Callable[[list[JoinedRow]], list[JoinedRow]]
READ: Mapping[str, _Reduce] = {"all": lambda rows: rows, "first": first_tokens, "mean": mean_tokens}
"""What a task reads of each sequence: all its states, the first token's, or their mean."""


@dataclass(frozen=True)
class FrozenLayers:
    """The frozen lower layers of a plan as an encoder of their own.

    Args:
        shape: of one whole tower.
        layers: how many of its lowest layers are frozen.
        tower: its weights.
        precision: ``fp32`` or ``bf16``, in which the states are computed and kept.
    """

    shape: EncoderShape
    layers: int
    tower: Tower
    precision: str
    device: torch.device

    @cached_property
    def encoder(self) -> PlannedEncoder:
        """The layers, ready to run."""
        plan = SharingPlan.parse(f"F{self.layers}", (_TEXT,), self.layers)
        lower = EncoderShape(**asdict(self.shape) | {"layers": self.layers, "pooler": False})
        return PlannedEncoder(lower, plan, self.tower).to(self.device).eval()

    @cached_property
    def digest(self) -> str:
        """A digest of all that decides the states beside the text."""
        shape = {k: v for k, v in asdict(self.shape).items() if k not in _WITHOUT_EFFECT}
        how = f"{torch.__version__} {self.precision} {self.device.type}"
        found = sha256(f"{_SCHEMA} {how} {shape} {self.layers}".encode())
        for stage in ("embeddings", *(f"layer.{depth}" for depth in range(self.layers))):
            for name, weight in sorted(self.tower[stage].items()):
                found.update(f"{stage}.{name} {weight.dtype} {tuple(weight.shape)}".encode())
                found.update(weight.detach().cpu().flatten().numpy().data)
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class StateCache:
    """States in a store, filled where they are missing.

    Args:
        frozen: the layers that make them.
    """

    store: ArrayStore
    frozen: FrozenLayers

    def key(self, rows: TokenRows, read: str) -> str:
        """A digest of all that decides the states of these texts, in hexadecimal."""
        found = sha256(f"{self.frozen.digest} {read} {len(rows.offsets)}".encode())
        for array in (rows.tokens, rows.token_types, rows.offsets):
            found.update(np.ascontiguousarray(array).data)
        if rows.tags is not None:
            found.update(np.ascontiguousarray(rows.tags).data)
        return found.hexdigest()

    def size(self, rows: TokenRows, read: str) -> int:
        """Bytes that an entry with the states of these texts takes at most."""
        texts = len(rows.lengths)
        vectors = len(rows.tokens) if read == "all" else texts
        values = vectors * self.frozen.shape.hidden * STORED[self.frozen.precision].itemsize
        return values + 12 * texts + _ABOUT

    def states(
        self, rows: TokenRows, read: str, advance: Callable[[int], None] | None
    ) -> StoredStates | None:
        """The states of these texts; None where the store has none and takes none.

        Args:
            read: one of :data:`READ`.
            advance: called with the number of texts that were done since the last call; None
                takes what the store has and computes nothing.
        """
        key = self.key(rows, read)
        if advance is None:
            found = self.store.open(KIND, key, verify=False)
            return None if found is None else self._stored(found, key)
        with self.store.exclusive(KIND, key, verify=False) as place:
            entry = place.entry or self._fill(place, rows, read, advance)
        return None if entry is None else self._stored(entry, key)

    def _fill(
        self, place: EntryWriter, rows: TokenRows, read: str, advance: Callable[[int], None]
    ) -> Entry | None:
        lengths = rows.lengths if read == "all" else np.ones_like(rows.lengths)
        offsets = np.append(0, lengths.cumsum())
        hidden, dtype = self.frozen.shape.hidden, STORED[self.frozen.precision]
        values = place.array("values", dtype, (int(offsets[-1]), hidden))
        sums = place.array("sums", np.uint32, lengths.shape)
        if values is None or sums is None:
            return None
        for numbers, states in self._computed(rows, read, sums, advance):
            ends = np.append(0, lengths[numbers].cumsum())
            for place_in, n in enumerate(numbers):
                one = states[ends[place_in] : ends[place_in + 1]]
                values[offsets[n] : offsets[n + 1]] = one
                sums[n] = checksum(one)
        about = {"layers": self.frozen.layers, "read": read, "texts": len(lengths)}
        return place.publish(about, {"offsets": offsets}, checksum=False)

    def _computed(
        self, rows: TokenRows, read: str, sums: NDArray[np.uint32], advance: Callable[[int], None]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
        """Blocks of texts that an earlier try has not done, with their states as stored."""
        encoder, device = self.frozen.encoder, self.frozen.device
        order = np.argsort(rows.lengths, kind="stable")
        for start in range(0, len(order), _BLOCK):
            numbers = order[start : start + _BLOCK]
            if not sums[numbers].all():
                with torch.inference_mode(), autocast(self.frozen.precision, device):
                    text = pack([rows], numbers).to(device)
                    (found,) = READ[read](encoder({_TEXT: text}, [_TEXT] * (read == "first")))
                yield numbers, to_array(found.values.cpu(), self.frozen.precision)
            advance(len(numbers))

    def _stored(self, entry: Entry, key: str) -> StoredStates:
        arrays = entry.arrays
        numbers = np.arange(len(arrays["sums"]))
        # Not through self, which holds the tower.
        health = StateFile(partial(self.store.discard, KIND, key, "values.npy has another content"))
        return StoredStates(arrays["values"], arrays["offsets"], arrays["sums"], numbers, health)
