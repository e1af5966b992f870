"""Projected attention layers against loops over sequences written out by hand, in float64."""

import pytest
import torch

from mtl_sharing.model.specs import PAL_ACTIVATIONS
from pals_by_hand import LENGTHS, TASKS, check, config, outputs_by_hand
from support import perturb

PLANS = ["S3", "S1-I2", "G3:a+c", "F3"]
# Layers that have a PAL: `shared` are those that two tasks or more own together.
LAYERS = {
    "all": dict.fromkeys(PLANS, (0, 1, 2)),
    "top": dict.fromkeys(PLANS, (1, 2)),
    "bottom": dict.fromkeys(PLANS, (0,)),
    "shared": {"S3": (0, 1, 2), "S1-I2": (0,), "G3:a+c": (0, 1, 2), "F3": (0, 1, 2)},
}
ACTIVATIONS = [
    (kind, name)
    for kind in ("attention", "low_rank")
    for name in PAL_ACTIVATIONS
    if (kind, name) != ("attention", "relu")
]


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("plan", PLANS)
def test_the_output_is_the_one_by_hand(build, batches, plan, layers):
    network = build(plan, config(layers=layers))
    assert network.architecture.pals.layers == LAYERS[layers][plan]
    check(perturb(network), batches)


@pytest.mark.parametrize("projections", ["shared", "own"])
@pytest.mark.parametrize("kind", ["attention", "low_rank"])
@pytest.mark.parametrize(("plan", "layers"), [("S1-I2", "all"), ("G3:a+c", "top"), ("F3", "all")])
def test_kinds_and_projections(build, batches, plan, layers, kind, projections):
    check(perturb(build(plan, config(layers, kind=kind, projections=projections))), batches)


@pytest.mark.parametrize(("kind", "activation"), ACTIVATIONS)
def test_activations(build, batches, activation, kind):
    check(perturb(build("S3", config(kind=kind, activation=activation))), batches)


@pytest.mark.parametrize(("size", "heads"), [(9, 1), (9, 9), (35, 7)])
def test_widths_and_heads_of_its_own(build, batches, size, heads):
    check(perturb(build("S2-I1", config(size=size, heads=heads))), batches)


def test_low_rank_needs_no_multiple_of_the_heads(build, batches):
    network = build("S3", config(size=5, heads=2, kind="low_rank"))
    assert network.architecture.pals.projections == "own"
    assert not network.encoder.pals.tasks[0].qkv
    check(perturb(network), batches)


def test_tasks_may_read_lower_layers(build, batches):
    layers = {"a": 0, "c": 1}
    check(perturb(build("S3", config(), head_layers=layers)), batches, layers)


@pytest.mark.parametrize(
    ("plan", "kind", "activation"),
    [*((plan, "attention", "gelu") for plan in PLANS), *(("S1-I2", *each) for each in ACTIVATIONS)],
)
def test_a_fresh_network_is_the_one_without_pals(build, batches, plan, activation, kind):
    network = build(plan, config(kind=kind, activation=activation))
    for pal in network.encoder.pals.tasks:
        for decode in pal.decode:
            assert not decode.weight.any() and not decode.bias.any()
        assert all(encode.weight.abs().min() > 0 for encode in pal.encode)
    found, wanted = network(batches), build(plan, None)(batches)
    assert all(torch.equal(found[task], wanted[task]) for task in TASKS)


def count_rows(modules):
    seen = [[] for _ in modules]
    for module, rows in zip(modules, seen, strict=True):
        module.register_forward_hook(lambda _, args, __, rows=rows: rows.append(args[0].shape))
    return seen


def test_the_shared_layers_run_once_over_all_tasks(build, batches):
    network = build("S2-I1", config())
    seen = count_rows([c for stage in network.encoder.layers for c in stage.copies])
    network(batches)
    each = [sum(LENGTHS[task]) for task in TASKS]
    assert seen == [[(sum(each), 21)]] * 2 + [[(rows, 21)] for rows in each]


def test_a_batch_that_all_read_is_repeated_from_the_first_pal_on(build, make_batch):
    network = build("S3", config(layers="top"))
    seen = count_rows([stage.copies[0] for stage in network.encoder.layers])
    network(dict.fromkeys(TASKS, make_batch((5, 1, 7))))
    assert seen == [[(13, 21)], [(39, 21)], [(39, 21)]]


@pytest.mark.parametrize("layers", ["all", "top", "bottom"])
@pytest.mark.parametrize("plan", ["S3", "S1-I2", "G3:a+c"])
def test_the_same_batch_object_gives_the_results_of_equal_ones(build, make_batch, plan, layers):
    network, lengths = perturb(build(plan, config(layers=layers))), (5, 1, 7)
    found = network(dict.fromkeys(TASKS, make_batch(lengths)))
    wanted = network({task: make_batch(lengths) for task in TASKS})
    for task in TASKS:
        torch.testing.assert_close(found[task], wanted[task])
        by_hand = outputs_by_hand(network, task, make_batch(lengths))
        torch.testing.assert_close(found[task], by_hand.float(), rtol=1e-5, atol=1e-6)


def test_some_of_the_tasks_with_the_same_batch(build, make_batch):
    network, text, other = perturb(build("S3", config())), make_batch((5, 1, 7)), make_batch((3,))
    found = network({"a": text, "b": other, "c": text})
    for task, batch in {"a": text, "b": other, "c": text}.items():
        by_hand = outputs_by_hand(network, task, batch)
        torch.testing.assert_close(found[task], by_hand.float(), rtol=1e-5, atol=1e-6)
