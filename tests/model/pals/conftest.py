"""Networks with projected attention layers, and batches for them."""

import pytest

from mtl_sharing.job.network_parts import make_pals
from mtl_sharing.model.network import Network
from mtl_sharing.plan.plan import SharingPlan
from mtl_sharing.plan.settings import PalsConfig
from pals_by_hand import HEADS, LENGTHS, TASKS
from support import architecture_of


@pytest.fixture
def build(make_shape, make_tower):
    """A network in float64 and evaluation mode with PALs as the config says."""

    def make(plan, pals, shape=None, head_layers=None):
        shape = shape or make_shape()
        parsed = SharingPlan.parse(plan, TASKS)
        if isinstance(pals, PalsConfig):
            pals = make_pals(pals, shape, parsed)
        described = architecture_of(shape, parsed, HEADS, pals=pals, head_layers=head_layers)
        return Network(described, make_tower(shape), seed=1).double().eval()

    return make


@pytest.fixture
def batches(make_batch):
    return {task: make_batch(LENGTHS[task], seed) for seed, task in enumerate(TASKS)}
