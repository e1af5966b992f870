"""Networks with progressive lanes, and batches for them."""

import pytest

from lanes_by_hand import CHAIN, LENGTHS, SINGLE, TASKS
from mtl_sharing.model.network import Network
from mtl_sharing.model.specs import LaneShape
from support import architecture_of, perturb


@pytest.fixture
def describe(make_shape):
    """An architecture of three layers with lanes."""

    def make(plan="S3", upstream=CHAIN, fusion="concatenation", heads=SINGLE, rate=0.0, drop=0.0,
             **changes):  # fmt: skip
        lanes = LaneShape(upstream, fusion, rate, drop)
        return architecture_of(make_shape(), plan, heads, lanes=lanes, **changes)

    return make


@pytest.fixture
def build(describe, make_tower):
    """A network in float64 and evaluation mode whose every weight is its own."""

    def make(*settings, **changes):
        architecture = describe(*settings, **changes)
        network = Network(architecture, make_tower(architecture.encoder), seed=1).double().eval()
        return perturb(network)

    return make


@pytest.fixture
def batches(make_batch):
    return {
        task: make_batch(LENGTHS[:count], count)
        for task, count in zip(TASKS, (3, 4, 6), strict=True)
    }
