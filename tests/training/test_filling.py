"""Filled batches: losses and gradients are those of the batches without filling."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mtl_sharing.batch import Ladder
from mtl_sharing.job.phases import make_learner, make_trainer
from mtl_sharing.model.encoder import attention
from mtl_sharing.training.warm_up import warm_up
from mtl_sharing.utils.device import Runtime

LAYERS = "encoder.layers=2"
NO_DROPOUT = (LAYERS, "encoder.dropout=0", "encoder.attention_dropout=0", "head.dropout=0")
SETTINGS = {
    "split": ("sharing.plan=S1-I1",),
    "every letter": (
        "sharing.plan=F1-S1-I1-T1",
        "encoder.layers=4",
    ),
    "group": ("sharing.plan=G2:quora+sts",),
    "late sharing": ("sharing.plan=I1-S1",),
    "pals": ("sharing.plan=S2", "sharing.pals.size=6"),
    "low rank": ("sharing.plan=S2", "sharing.pals.size=6", "sharing.pals.kind=low_rank"),
    "mean pooling, separate pairs": ("head.pooling=mean", "pairing.mode=separate"),
    "an early layer": ("task.sst.layer=0", "head.depth=1"),
    "surgery": ("sharing.plan=S2", "loss.aggregation=pcgrad"),
    "smart": ("regularizer.name=smart", "regularizer.weight=1", "regularizer.proximal=1"),
    "r-drop": ("regularizer.name=r_drop", "regularizer.weight=1"),
}


class Filled:
    """Batches with filling after their tokens."""

    def __init__(self, batches, ladder):
        self.batches, self.ladder = batches, ladder

    def __getitem__(self, number):
        return self.batches[number].filled(self.ladder)


def gradients_of(learner):
    """Losses of an update, and the gradients of every weight that has one."""
    gradients = {}

    def keep(*_):
        named = learner.network.named_parameters()
        gradients.update({n: w.grad.clone() for n, w in named if w.grad is not None})

    for component in learner.components:
        component.optimizer.register_step_pre_hook(keep)
    return learner.update(0, 4).losses, gradients


def check_filled(plain, filled, rows):
    filled.batches = {t: Filled(batches, Ladder(rows)) for t, batches in filled.batches.items()}
    expected, wanted = gradients_of(plain)
    losses, gradients = gradients_of(filled)
    assert losses == pytest.approx(expected, rel=1e-5)
    assert gradients.keys() == wanted.keys()
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-5 * largest, msg=name)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_losses_and_gradients_without_filling(fresh_learner, settings):
    plain, filled = (fresh_learner(*NO_DROPOUT, *settings) for _ in range(2))
    check_filled(plain, filled, 256)


def test_lanes_and_masked_tokens_without_filling(prepare, tmp_path):
    lanes = ("sharing.plan=S2", "sharing.lanes.fusion=attention",
             "sharing.lanes.upstream.sst=[]", "sharing.lanes.upstream.quora=[sst]",
             "sharing.lanes.upstream.sts=[sst,quora]")  # fmt: skip
    for settings, phases in ((lanes, ()), ((), ("mlm",))):
        learners = []
        for _ in range(2):
            run_spec, inputs = prepare(*NO_DROPOUT, *settings, phases=phases)
            learners.append(make_trainer(run_spec, inputs, tmp_path).learner)
        check_filled(*learners, 96)


class Products(TorchDispatchMode):
    """Records the half-precision products and activations that run, by their shapes."""

    def __init__(self):
        super().__init__()
        self.met = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        tensors = [one for one in args if isinstance(one, torch.Tensor)]
        named = str(function).split(".")[1] in ("mm", "addmm", "bmm", "gelu", "gelu_backward")
        if named and any(one.dtype == torch.bfloat16 for one in tensors):
            self.met.add((str(function), tuple((one.shape, one.stride()) for one in tensors)))
        return function(*args, **(kwargs or {}))


def shapes_in_bf16(run_spec, inputs, count):
    """The shapes of a warm-up, and of the steps after it."""
    run_spec = replace(run_spec, runtime=replace(run_spec.runtime, precision="bf16"))
    learner = make_learner(run_spec, inputs, run_spec.architecture)
    with Products() as warm:
        warm_up(learner, count, most_s=60)
    with Products() as steps:
        for step in range(count):
            learner.update(step, count)
    return warm.met, steps.met


@pytest.mark.parametrize(
    "settings",
    [
        ("sharing.plan=S1-I1",),
        ("sharing.plan=S2", "loss.aggregation=pcgrad", "sampler.name=temperature"),
        ("sharing.plan=S1-I1", "head.pooling=mean", "head.depth=1", "pairing.mode=separate"),
    ],
    ids=["split", "surgery", "hidden head layers"],
)
def test_no_step_after_the_warm_up_meets_a_new_shape(prepare, settings):
    # Twelve of a task's forty examples make the last batch of an epoch short.
    run_spec, inputs = prepare(LAYERS, "trainer.batch_size=14", "trainer.max_steps=30", *settings)
    warm, steps = shapes_in_bf16(run_spec, inputs, 30)
    assert warm and not steps - warm


def test_wide_grids_are_met_too(prepare, monkeypatch):
    monkeypatch.setattr(attention, "_SHORT", 8)
    run_spec, inputs = prepare(LAYERS, "trainer.batch_size=14", "sharing.plan=S1-I1")
    warm, steps = shapes_in_bf16(run_spec, inputs, 12)
    assert any("bmm" in name for name, _ in steps)
    assert not steps - warm


def test_the_warm_up_touches_nothing_and_ends_in_time(prepare, monkeypatch):
    run_spec, inputs = prepare(LAYERS, "sharing.plan=S1-I1")
    monkeypatch.setattr(Runtime, "steady", True)
    learners = [make_learner(run_spec, inputs, run_spec.architecture) for _ in range(2)]
    before = torch.get_rng_state()
    warm_up(learners[0], 30)
    warm_up(learners[0], 30, most_s=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(weight.grad is None for weight in learners[0].network.parameters())
    assert learners[0].served == {}
    for learner in learners:
        learner.update(0, 4)
    for one, other in zip(*(n.network.parameters() for n in learners), strict=True):
        assert torch.equal(one, other)
