"""Projected attention layers in training: what trains, alone and beside other regimes."""

import math

import pytest
import torch
import torch.nn.functional as F

from mtl_sharing.model.network import Network
from mtl_sharing.model.specs import LaneShape, PalShape
from mtl_sharing.training.optimizer import make_optimizer
from mtl_sharing.training.settings import OptimizerConfig
from pals_by_hand import HEADS, PAL, config
from support import architecture_of, perturb

FAMILIES = {
    "bert": {},
    "roberta": {"position_offset": 2, "token_types": 1, "positions": 19},
    "electra": {"embedding": 13, "pooler": False},
    "distilbert": {"token_types": 0, "pooler": False},
}
CHAIN = {"a": (), "b": ("a",), "c": ("a", "b")}
REGIMES = {
    "pals": ("S3", PAL, None),
    "low rank": ("S3", PalShape(5, 3, "low_rank", "tanh", "own", (1, 2)), None),
    "concatenation": ("S3", None, LaneShape(CHAIN, "concatenation")),
    "attention": ("S3", None, LaneShape(CHAIN, "attention")),
    "pals and lanes": ("S2-I1", PAL, LaneShape(CHAIN, "attention")),
    "tied": ("T3", None, None),
    "fsi": ("F1-S1-I1", None, None),
    "grouped": ("S2-G1:b+c", None, None),
    "hybrid": ("S1-I2", None, None),
}


def train_step(network, batches, lr=0.1):
    """One update on all tasks; gives the loss and every weight's gradient."""
    optimizer = make_optimizer(
        [(n, w) for n, w in network.train().named_parameters() if w.requires_grad],
        OptimizerConfig(lr=lr),
    )
    loss = sum(F.mse_loss(raw, torch.ones_like(raw)) for raw in network(batches).values())
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    optimizer.step()
    return float(loss.detach()), gradients


# Every regime with one family, and all parts at once with the others.
TRAINED = [
    pytest.param(family, regime, marks=[pytest.mark.slow] * (slow and regime != "pals and lanes"))
    for family, slow in zip(FAMILIES, (False, True, True, True), strict=True)
    for regime in REGIMES
]


@pytest.mark.parametrize(("family", "regime"), TRAINED)
def test_gradients_reach_every_weight_that_trains(make_shape, make_tower, batches, family, regime):
    shape = make_shape(family=family, **FAMILIES[family])
    plan, pals, lanes = REGIMES[regime]
    pooling = "pooler" if shape.pooler else "cls"
    described = architecture_of(shape, plan, HEADS, 1, pals, lanes, dropout=0.1, pooling=pooling,
                                activation="tanh")  # fmt: skip
    network = perturb(Network(described, make_tower(shape), seed=1).float())
    trains = {name for name, p in network.named_parameters() if p.requires_grad}
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loss, gradients = train_step(network, batches)
    assert math.isfinite(loss)
    for name, value in network.state_dict().items():
        gradient = gradients[name]
        assert (gradient is not None) == (name in trains), name
        assert torch.equal(value, before[name]) == (name not in trains), name
        assert gradient is None or (gradient.isfinite().all() and gradient.any()), name
    assert any(name.startswith("encoder.layers.2.") for name in trains)


def test_beside_a_frozen_encoder_the_pals_train_alone(make_shape, make_tower, batches):
    shape = make_shape()
    network = Network(architecture_of(shape, "F3", HEADS, pals=PAL), make_tower(shape), 1).float()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(2):
        # Unequal rates: a fresh AdamW's steps of +lr and -lr would cancel.
        _, gradients = train_step(network, batches, lr=0.1 / (step + 1))
        mine = {n: g for n, g in gradients.items() if g is not None}
        assert mine and all(n.startswith(("encoder.pals.", "heads.")) for n in mine)
        # Through a V_D of 0 nothing reaches what stands before it.
        inner = [g for n, g in mine.items() if "pals" in n and ".decode." not in n]
        assert inner and all(bool(g.any()) == (step > 0) for g in inner)
        network.zero_grad()
    for name, value in network.state_dict().items():
        trains = name.startswith(("encoder.pals.", "heads."))
        assert torch.equal(value, before[name]) != trains, name


def test_attention_dropout_is_off_only_in_evaluation(build, batches):
    network = perturb(build("F3", config()))
    hidden = network.encoder.hidden
    assert torch.equal(hidden(batches)["a"], hidden(batches)["a"])
    network.train()
    assert not torch.equal(hidden(batches)["a"], hidden(batches)["a"])
