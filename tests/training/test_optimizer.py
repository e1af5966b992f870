"""Groups of the optimiser and the course of the learning rate."""

import math

import pytest
import torch
from torch import nn

from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.network import Network
from mtl_sharing.model.specs import TaskHead
from mtl_sharing.training.optimizer import (
    AdamW,
    clip_gradients,
    make_optimizer,
    rate_factor,
    set_rate,
)
from mtl_sharing.training.settings import OptimizerConfig, SchedulerConfig
from support import architecture_of


def course(name, warmup, total):
    return [rate_factor(SchedulerConfig(name, warmup), step, total) for step in range(total)]


@pytest.mark.parametrize("total", [10, 97])
@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.3, 0.5])
def test_onecycle_is_torch_s(total, warmup):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=total, pct_start=warmup, cycle_momentum=False
    )
    wanted = []
    for _ in range(total):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(wanted) < total:
            theirs.step()
    assert course("onecycle", warmup, total) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["none", "linear", "cosine"])
def test_warmup_rises_evenly_to_the_peak(name):
    assert course(name, 0.25, 16)[:5] == pytest.approx([1 / 5, 2 / 5, 3 / 5, 4 / 5, 1.0])


def test_shapes_after_the_warmup():
    assert course("none", 0.25, 16)[4:] == [1.0] * 12
    assert course("linear", 0.25, 16)[4:] == pytest.approx([1 - i / 12 for i in range(12)])
    half = [(1 + math.cos(math.pi * i / 12)) / 2 for i in range(12)]
    assert course("cosine", 0.25, 16)[4:] == pytest.approx(half)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_without_warmup_the_rate_starts_at_its_peak_and_ends_at_nothing(name):
    assert rate_factor(SchedulerConfig(name, 0.0), 0, 10) == 1.0
    assert rate_factor(SchedulerConfig(name, 0.0), 10, 10) == 0.0
    assert all(0 < factor <= 1 for factor in course(name, 0.0, 10))


@pytest.mark.parametrize("name", ["none", "linear", "cosine", "onecycle"])
@pytest.mark.parametrize("total", [1, 2, 3])
def test_short_trainings_have_a_rate(name, total):
    for warmup in (0.0, 0.1, 0.9):
        assert all(0 <= factor <= 1 for factor in course(name, warmup, total))
        assert max(course(name, warmup, total)) > 0


@pytest.mark.parametrize(
    ("name", "warmup", "field"),
    [("linaer", 0.1, "scheduler.name"), ("linear", 1.0, "scheduler.warmup"),
     ("cosine", -0.1, "scheduler.warmup")],
)  # fmt: skip
def test_bad_schedules_are_named(name, warmup, field):
    with pytest.raises(UserError) as caught:
        rate_factor(SchedulerConfig(name, warmup), 0, 10)
    assert caught.value.where == field


@pytest.fixture
def build():
    def make(plan):
        shape = EncoderShape("bert", 2, 21, 3, 31, 53, 17, 0, 2, 21, "gelu", 1e-5, True)
        heads = (TaskHead("a", 5), TaskHead("b", 1))
        architecture = architecture_of(shape, plan, heads, depth=1, pooling="pooler")
        return Network(architecture, random_tower(shape, 0))

    return make


def trained(network):
    """The weights that take a gradient, by their names."""
    return [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]


def setting_of(network, optimizer, field):
    """The value of ``field`` for every parameter's name; each parameter is in one group."""
    names = {id(p): name for name, p in network.named_parameters()}
    pairs = [(names[id(p)], g[field]) for g in optimizer.param_groups for p in g["params"]]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_only_weight_matrices_decay(build):
    network = build("S1-I1")
    found = setting_of(network, make_optimizer(trained(network), OptimizerConfig()), "weight_decay")
    assert found.keys() == {name for name, _ in network.named_parameters()}
    for name, decay in found.items():
        spared = name.endswith(".bias") or "norm" in name
        assert decay == (0.0 if spared else 0.01), name
    assert {0.0, 0.01} == set(found.values())


def test_frozen_stages_are_left_out(build):
    network = build("F1-I1-PS")
    found = setting_of(network, make_optimizer(trained(network), OptimizerConfig()), "lr")
    frozen = ("encoder.embeddings.", "encoder.layers.0.")
    assert found.keys() == {n for n, _ in network.named_parameters() if not n.startswith(frozen)}


@pytest.mark.parametrize(("head_lr", "wanted"), [(None, 2e-3), (7e-2, 7e-2), (0.0, 0.0)])
def test_heads_may_have_a_rate_of_their_own(build, head_lr, wanted):
    network = build("S2")
    optimizer = make_optimizer(trained(network), OptimizerConfig(lr=2e-3, head_lr=head_lr))
    for name, rate in setting_of(network, optimizer, "lr").items():
        assert rate == (2e-3 if name.startswith("encoder.") else wanted), name
    set_rate(optimizer, 0.5)
    set_rate(optimizer, 0.25)
    for name, rate in setting_of(network, optimizer, "lr").items():
        assert rate == (2e-3 if name.startswith("encoder.") else wanted) / 4, name


def test_lower_layers_may_learn_more_slowly(build):
    network = build("S1-I1-PS")
    config = OptimizerConfig(lr=1.0, head_lr=9.0, layer_decay=0.5)
    found = setting_of(network, make_optimizer(trained(network), config, layers=2), "lr")
    wanted = {"encoder.embeddings.": 1 / 4, "encoder.layers.0.": 1 / 2, "encoder.layers.1.": 1.0,
              "encoder.pooler.": 1.0, "heads.": 9.0}  # fmt: skip
    for start, rate in wanted.items():
        assert {r for name, r in found.items() if name.startswith(start)} == {rate}, start
    assert all(name.startswith(tuple(wanted)) for name in found)


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.5, math.nan])
def test_an_impossible_layer_decay_is_named(decay):
    with pytest.raises(UserError, match=r"optimizer\.layer_decay"):
        make_optimizer(trained(nn.Linear(3, 2)), OptimizerConfig(layer_decay=decay))


@pytest.mark.parametrize(
    ("field", "value"), [("lr", -1e-5), ("head_lr", math.inf), ("weight_decay", math.nan)]
)
def test_impossible_rates_are_named(field, value):
    with pytest.raises(UserError, match=rf"optimizer\.{field}"):
        make_optimizer(trained(nn.Linear(3, 2)), OptimizerConfig(**{field: value}))


@pytest.mark.parametrize("largest", [0.01, 1.0, 100.0])
def test_clipping_in_the_step_is_torchs_clipping_before_it(largest):
    torch.manual_seed(2)
    results = []
    gradients = [torch.randn(7, 5), torch.randn(11)]
    for own in (True, False):
        weights = [nn.Parameter(torch.ones_like(gradient)) for gradient in gradients]
        optimizer = (AdamW if own else torch.optim.AdamW)(weights, lr=0.1, fused=True)
        for _ in range(3):
            for number, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
                weight.grad = gradient * (number + 1)
            if own:
                clip_gradients(optimizer, largest)
            else:
                nn.utils.clip_grad_norm_(weights, largest)
            optimizer.step()
        moments = [optimizer.state[weight]["exp_avg"] for weight in weights]
        results.append([weight.detach() for weight in weights] + moments)
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
