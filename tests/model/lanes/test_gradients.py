"""Gradients through progressive lanes, and the dropout of upstream outputs in training."""

import pytest
import torch

from lanes_by_hand import CHAIN, LINE, MAPS, TASKS
from mtl_sharing.model.specs import FUSIONS


def owned_by(network, task):
    """Names of the weights that belong to the head of ``task`` alone."""
    number = TASKS.index(task)
    parts = [f"outputs.{number}.", f"fusions.{number}."]
    parts += [f"hidden.{n}.copies.{number}." for n in range(len(network.heads.hidden))]
    return tuple(f"heads.{part}" for part in parts)


def gradients(network, batches, read):
    """The gradient of every weight of the loss of the tasks in ``read``."""
    raw = network({task: batches[task] for task in read})
    loss = sum((raw[task] ** 2).sum() for task in read)
    named = dict(network.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {n: torch.zeros_like(p) if g is None else g for (n, p), g in
            zip(named.items(), found, strict=True)}  # fmt: skip


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("upstream", [CHAIN, LINE], ids=["chain", "line"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_upstream_heads_take_their_share_of_a_reader_s_gradient(
    build, batches, rate, upstream, fusion
):
    """However long the lanes are between the two, and the text takes the whole gradient."""
    changes = {"upstream": upstream, "fusion": fusion, "depth": 1}
    found = gradients(network := build(**changes, rate=rate), batches, ["sts"])
    full = gradients(build(**changes, rate=1.0), batches, ["sts"])
    above = (*owned_by(network, "sst"), *owned_by(network, "quora"))
    for name, gradient in found.items():
        if name.startswith(above):
            assert rate > 0 or not gradient.any(), name
            torch.testing.assert_close(gradient, rate * full[name], rtol=1e-5, atol=1e-7)
        else:
            torch.testing.assert_close(gradient, full[name], rtol=1e-6, atol=1e-8)
    for part in ("encoder.embeddings", "encoder.layers.0", "norm", "heads.outputs.2",
                 "heads.hidden.0.copies.2"):  # fmt: skip
        assert any(full[name].any() for name in full if name.startswith(part))
    for part in ("heads.outputs.0", "heads.hidden.0.copies.0", "heads.outputs.1"):
        assert all(full[name].any() for name in full if name.startswith(part))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_gradient_of_upstream_heads_is_that_of_small_steps(build, batches, fusion):
    network = build(fusion=fusion, depth=1, rate=1.0)
    found = gradients(network, batches, ["sts"])
    named, step = dict(network.named_parameters()), 1e-3
    for name in (
        "heads.outputs.0.weight",
        "heads.outputs.1.bias",
        "encoder.layers.2.copies.0.up.bias",
    ):
        direction = torch.randn_like(named[name])
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                named[name].add_(sign * step * direction)
                losses.append(float((network({"sts": batches["sts"]})["sts"].double() ** 2).sum()))
                named[name].sub_(sign * step * direction)
        slope = (losses[0] - losses[1]) / (2 * step)
        assert float((found[name] * direction).sum()) == pytest.approx(slope, rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_frozen_upstream_heads_learn_from_their_own_loss(build, batches, fusion):
    network = build(fusion=fusion, depth=1)
    both = gradients(network, batches, ["sst", "sts"])
    own = gradients(network, batches, ["sst"])
    mine = [name for name in own if name.startswith(owned_by(network, "sst"))]
    assert len(mine) == 4
    for name in mine:
        assert own[name].any()
        torch.testing.assert_close(both[name], own[name], rtol=1e-6, atol=1e-9)


def test_a_shared_head_layer_learns_from_its_readers_alone(build, batches):
    """Where sts reads sst through a layer both own, only the pass for sts itself trains it."""
    changes = {"upstream": MAPS["one"], "fusion": "attention", "depth": 1}
    shared, apart = build("S3/S", **changes), build("S3/I", **changes)
    state = shared.state_dict()
    with torch.no_grad():
        for stage in apart.heads.hidden:
            for copy in stage.copies:
                copy.load_state_dict(shared.heads.hidden[0].copies[0].state_dict())
    others = {n: v for n, v in state.items() if not n.startswith("heads.hidden.")}
    apart.load_state_dict(others, strict=False)
    found = gradients(shared, batches, ["sts"])["heads.hidden.0.copies.0.dense.weight"]
    wanted = gradients(apart, batches, ["sts"])["heads.hidden.0.copies.2.dense.weight"]
    assert wanted.any()
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


def fusion_inputs(network, batches):
    """The upstream outputs that the fusion of sts takes, one tensor a head."""
    found = []
    fusion = network.heads.fusions[2]
    hook = fusion.register_forward_pre_hook(lambda _, args: found.append(args[1]))
    network({"sts": batches["sts"]})
    hook.remove()
    (outputs,) = found
    return [each.detach() for each in outputs]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_task_dropout_drops_whole_outputs_in_training_alone(build, make_batch, fusion):
    upstream = {"sst": (), "quora": (), "sts": ("sst", "quora")}
    network = build("F3", upstream, fusion, drop=0.4, dropout=0.0)
    batches = {"sts": make_batch((1, 2) * 100)}
    whole = fusion_inputs(network, batches)
    assert [each.shape for each in whole] == [(200, 5), (200, 2)]
    assert all(
        torch.equal(*each) for each in zip(whole, fusion_inputs(network, batches), strict=True)
    )
    torch.manual_seed(7)
    found = fusion_inputs(network.train(), batches)
    dropped = []
    for output, full in zip(found, whole, strict=True):
        gone = (output == 0).all(dim=1)
        wanted = torch.where(gone[:, None], torch.zeros_like(full), full / 0.6)
        torch.testing.assert_close(output, wanted)
        assert 0.3 < gone.double().mean() < 0.5
        dropped.append(gone)
    assert not torch.equal(*dropped)
    again = fusion_inputs(network, batches)
    assert not torch.equal(again[0], found[0])
    assert all(
        torch.equal(*each)
        for each in zip(whole, fusion_inputs(network.eval(), batches), strict=True)
    )
