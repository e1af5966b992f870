"""Texts of any number, frozen layers, and a process, for the tests of stored states."""

from pathlib import Path

import numpy as np
import torch

from filling import start
from mtl_sharing.cache.store import ArrayStore
from mtl_sharing.data.tokens.tokenizing import TokenRows
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.training.frozen_layers import FrozenLayers, StateCache

SHAPE = EncoderShape(
    family="bert", layers=3, hidden=21, heads=3, intermediate=31, vocabulary=53, positions=17,
    position_offset=0, token_types=2, embedding=21, activation="gelu", epsilon=1e-5, pooler=True,
    dropout=0.3, attention_dropout=0.2,
)  # fmt: skip


def rows_of(count: int, seed: int = 3) -> TokenRows:
    """Random tokens of ``count`` texts, 2 to 16 tokens each."""
    random = np.random.default_rng(seed)
    lengths = random.integers(2, 17, count)
    tokens = random.integers(7, 53, lengths.sum(), dtype=np.int32)
    types = random.integers(0, 2, lengths.sum(), dtype=np.uint8)
    return TokenRows(tokens, types, np.append(0, lengths.cumsum()), 0)


def layers_of(depth: int = 2, precision: str = "fp32", seed: int = 5) -> FrozenLayers:
    """The lowest layers of a small encoder."""
    tower = random_tower(SHAPE, seed, 0.3)
    return FrozenLayers(SHAPE, depth, tower, precision, torch.device("cpu"))


def cache_in(folder: Path, layers: FrozenLayers | None = None) -> StateCache:
    """States of these layers, by default of ``layers_of()``, in a folder."""
    return StateCache(ArrayStore(folder, 10**8), layers_of() if layers is None else layers)


def bytes_of(states) -> bytes:
    """All that was stored."""
    return states.values.tobytes() + states.offsets.tobytes() + states.sums.tobytes()


def fill_elsewhere(folder: Path, count: int):
    """A process that computes the states of ``rows_of(count)``.

    It prints a line for each block and a digest last.
    """
    return start(_FILL, folder, count)


_FILL = """
from frozen_texts import bytes_of, cache_in, rows_of
cache, rows = cache_in(Path(sys.argv[1])), rows_of(int(sys.argv[2]))
states = cache.states(rows, "all", lambda texts: print("block", flush=True))
print(hashlib.sha256(bytes_of(states)).hexdigest(), flush=True)
"""
