"""The norm and fusions of progressive lanes, and counts of their weights."""

import pytest
import torch
from torch import nn

from lanes_by_hand import MAPS, SINGLE, TASKS, pairs
from mtl_sharing.model.network import Network
from mtl_sharing.model.specs import FUSIONS
from mtl_sharing.score.parameters import plan_cost
from support import architecture_of


def test_a_network_without_lanes_has_no_norm(make_shape, make_tower, make_batch):
    shape = make_shape()
    plain = Network(architecture_of(shape, "S3", SINGLE), make_tower(shape), 1)
    assert plain.norm is None
    assert all(isinstance(fusion, nn.Identity) for fusion in plain.heads.fusions)


@pytest.mark.parametrize(
    ("plan", "owners", "tied"),
    [
        ("S3", [TASKS], False),
        ("I3", [("sst",), ("quora",), ("sts",)], False),
        ("F3", [TASKS], False),
        ("S3-PI", [("sst",), ("quora",), ("sts",)], False),
        ("I3-PF", [TASKS], False),
        ("S1-G2:sst+sts", [("sst", "sts"), ("quora",)], False),
        ("S1-T2", [("sst",), ("quora",), ("sts",)], True),
    ],
)
def test_the_norm_is_owned_as_the_pooler_is_and_always_trains(build, batches, plan, owners, tied):
    network = build(plan)
    assert list(network.norm.owners) == owners
    assert network.norm.tied == tied
    assert [(norm.eps, norm.normalized_shape) for norm in network.norm.copies] == [
        (1e-12, (21,))
    ] * len(owners)
    sum(raw.sum() for raw in network.train()(batches).values()).backward()
    assert all(p.requires_grad and p.grad.any() for p in network.norm.parameters())


def test_the_norm_starts_as_one_and_nothing(describe, make_tower):
    architecture = describe("I3")
    network = Network(architecture, make_tower(architecture.encoder))
    for norm in network.norm.copies:
        assert norm.weight.tolist() == [1.0] * 21
        assert norm.bias.tolist() == [0.0] * 21


def test_fusions_start_from_the_seed_and_attention_adds_little(describe, make_tower):
    architecture = describe(fusion="attention")

    def draw(seed):
        return Network(architecture, make_tower(architecture.encoder), seed).heads.fusions[2]

    first, again, other = draw(3), draw(3), draw(4)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert value.any() == name.endswith(".weight")
    assert not torch.equal(first.query.weight, other.query.weight)


# Every pair of two settings; slow are the other combinations.
COUNTED = [
    pytest.param(upstream, depth, fusion, marks=[pytest.mark.slow] * ((i + j + k) % 2))
    for i, upstream in enumerate(["chain", "line", "none"])
    for j, depth in enumerate([0, 2])
    for k, fusion in enumerate(FUSIONS)
]


@pytest.mark.parametrize(("upstream", "depth", "fusion"), COUNTED)
def test_counts_are_those_of_the_built_network(build, batches, upstream, depth, fusion):
    for heads, plan in ((SINGLE, "S3"), (pairs(False), "S1-I2"), (pairs(True), "G3:sst+sts")):
        network = build(plan, MAPS[upstream], fusion, heads, depth=depth, rate=1.0)
        cost, named = plan_cost(network.architecture), dict(network.named_parameters())
        assert cost.total == cost.trainable == sum(p.numel() for p in named.values())
        for task in TASKS:
            raw = network({task: batches[task]})[task]
            network.zero_grad()
            raw.sum().backward()
            reached = [p.numel() for p in named.values() if p.grad is not None]
            assert cost.serving(task) == sum(reached)


def test_counts_of_a_frozen_plan(build):
    network = build("F3", fusion="attention", depth=1)
    cost = plan_cost(network.architecture)
    trains = [p.numel() for p in network.parameters() if p.requires_grad]
    assert cost.trainable == sum(trains) < cost.total
