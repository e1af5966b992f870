"""Small towers and batches for the model's tests."""

import pytest
import torch

from mtl_sharing.batch import PackedBatch
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.model.encoder.shape import EncoderShape

SHAPE = {
    "family": "bert", "layers": 3, "hidden": 21, "heads": 3, "intermediate": 31, "vocabulary": 53,
    "positions": 17, "position_offset": 0, "token_types": 2, "embedding": 21, "activation": "gelu",
    "epsilon": 1e-5, "pooler": True, "dropout": 0.3, "attention_dropout": 0.2,
}  # fmt: skip


@pytest.fixture
def make_shape():
    """An odd-sized encoder shape, fields overridable."""
    return lambda **changes: EncoderShape(**SHAPE | changes)


@pytest.fixture
def make_tower():
    """Random weights large enough to tell stages apart, no bias 0 and no norm 1, float64."""

    def make(shape, seed=5):
        noise = torch.Generator().manual_seed(seed)
        return {
            stage: {
                name: (value.double() + torch.empty(value.shape).normal_(0, 0.2, generator=noise))
                for name, value in state.items()
            }
            for stage, state in random_tower(shape, seed).items()
        }

    return make


@pytest.fixture
def make_batch():
    """Packed random tokens: ids 7 to 52, types 0 and 1."""

    def make(lengths, seed=3):
        random = torch.Generator().manual_seed(seed)
        total = sum(lengths)
        tokens = torch.randint(7, 53, (total,), generator=random)
        types = torch.randint(0, 2, (total,), generator=random)
        return PackedBatch(tokens, types, tuple(lengths))

    return make
