"""Weights of projected attention layers: where they start, their counts, and shapes refused."""

import pytest
import torch

from mtl_sharing.errors import UserError
from mtl_sharing.job.network_parts import make_pals
from mtl_sharing.model.network import Network
from mtl_sharing.model.pals import TaskPal
from mtl_sharing.model.specs import PalShape
from mtl_sharing.plan.plan import SharingPlan
from mtl_sharing.score.parameters import plan_cost
from pals_by_hand import HEADS, PAL, TASKS, config
from support import architecture_of, perturb


def test_tasks_start_from_equal_pals_of_the_seed(make_shape, make_tower):
    def draw(seed):
        shape = make_shape()
        described = architecture_of(shape, "S3", HEADS, pals=PAL)
        return Network(described, make_tower(shape), seed).encoder.pals.tasks

    first, again, other = draw(3), draw(3), draw(4)
    for name, value in first[0].state_dict().items():
        assert all(torch.equal(value, pal.state_dict()[name]) for pal in (*first, *again))
        assert len({pal.state_dict()[name].data_ptr() for pal in first}) == 3
    assert not torch.equal(first[0].encode[0].weight, other[0].encode[0].weight)
    assert first[0].encode[0].weight.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize("projections", ["shared", "own"])
@pytest.mark.parametrize("kind", ["attention", "low_rank"])
@pytest.mark.parametrize("layers", [(0, 1, 2), (2,), (1, 2)])
def test_counts_are_those_of_the_module(make_shape, kind, projections, layers):
    encoder, shape = make_shape(), PalShape(6, 2, kind, "gelu", projections, layers)
    sizes = {True: 0, False: 0}
    for name, parameter in TaskPal(shape, encoder).named_parameters():
        sizes[name.endswith(".bias")] += parameter.numel()
    assert (shape.weights(21), shape.biases(21)) == (sizes[False], sizes[True])


def test_the_published_size():
    """Stickland and Murray 2019 for s = 204; the report's 1.05 times BERT base of three tasks."""
    pal = PalShape(204, 12, "attention", "gelu", "shared", tuple(range(12)))
    found = pal.weights(768)
    assert found == 2 * 204 * 768 + 12 * 3 * 204**2 == 1_811_520
    assert round(found / 1e6, 2) == 1.81
    assert round(1 + 3 * found / 109_482_240, 2) == 1.05
    # And 1.13 times for the eight tasks of the paper.
    assert round(1 + 8 * found / 109_482_240, 2) == 1.13


@pytest.mark.parametrize("head_layers", [{}, {"a": 0, "c": 1}], ids=["last", "lower"])
@pytest.mark.parametrize("kind", ["attention", "low_rank"])
@pytest.mark.parametrize("plan", ["S3", "S1-I2"])
def test_the_cost_is_that_of_the_built_network(build, batches, plan, kind, head_layers):
    network = perturb(build(plan, config(kind=kind), head_layers=head_layers))
    cost, weights = plan_cost(network.architecture), list(network.parameters())
    assert cost.total == cost.trainable == sum(p.numel() for p in weights)
    for task in TASKS:
        network.zero_grad()
        network({task: batches[task]})[task].sum().backward()
        reached = [p.numel() for p in weights if p.grad is not None]
        assert cost.serving(task) == sum(reached), task


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"size": 0}, "size"), ({"size": 7}, "size"), ({"heads": 0}, "heads"),
        ({"kind": "atention"}, "kind"), ({"activation": "silu"}, "activation"),
        ({"projections": "owned"}, "projections"), ({"activation": "relu"}, "activation"),
    ],
)  # fmt: skip
def test_impossible_shapes_are_refused(changes, field):
    fields = {"size": 6, "heads": 2, "kind": "attention", "activation": "gelu",
              "projections": "shared", "layers": (0,)}  # fmt: skip
    PalShape(**fields)
    with pytest.raises(UserError) as caught:
        PalShape(**fields | changes)
    assert caught.value.where == f"sharing.pals.{field}"


@pytest.mark.parametrize(("plan", "layers"), [("I3", "shared"), ("I3", "upper")])
def test_impossible_layers_are_refused(make_shape, plan, layers):
    with pytest.raises(UserError) as caught:
        make_pals(config(layers=layers), make_shape(), SharingPlan.parse(plan, TASKS))
    assert caught.value.where == "sharing.pals.layers"
