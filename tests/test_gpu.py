"""Every path of a GPU: by its kernels on a GPU, and on a CPU with a reference for the flash kernel.

The CPU's turn proves the tests, the GPU's (``make gpu-check``) the kernels.
"""

import io
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from flash_kernel import FlashKernel, fits_flash
from mtl_sharing import load_run
from mtl_sharing.batch import PackedBatch
from mtl_sharing.evaluation.evaluate import predict
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.phases import make_learner, make_trainer
from mtl_sharing.job.spec import resolve_spec, start_on_machine
from mtl_sharing.model.encoder import attention
from mtl_sharing.model.encoder.attention import (
    SequenceLayout,
    first_token_attention,
    packed_attention,
)
from mtl_sharing.objectives.ties import Tie
from mtl_sharing.training.optimizer import clip_gradients, make_optimizer, set_rate
from mtl_sharing.training.settings import OptimizerConfig
from mtl_sharing.utils.device import Runtime
from support import QUICK, load_config

GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
]
CPU = torch.device("cpu")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=GPU)])
def device(request):
    torch.manual_seed(5)
    return torch.device(request.param)


@pytest.fixture
def kernel(device, monkeypatch):
    """Counts and checks the calls of the flash kernel; on a CPU a reference takes its place."""
    made = FlashKernel(real=device.type == "cuda")
    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", made)
    if not made.real:
        monkeypatch.setattr(attention, "supports_flash", fits_flash)
        monkeypatch.setattr(Runtime, "steady", False)  # as on a GPU
    # Of equal batches: in half precision they are composed of other examples.
    monkeypatch.setattr(Runtime, "composed", False)
    return made


def attend(rows, runs, heads, first_only, dropout=0.0):
    """Attended values of (N, 3 H) rows, and the rows' gradient for the sum of squares."""
    layouts = [SequenceLayout.of(lengths, rows.device) for lengths in runs]
    rows = rows.detach().requires_grad_()
    hidden = rows.shape[1] // 3
    if first_only:
        starts = torch.cat([torch.tensor([0]), torch.tensor(sum(runs, ())).cumsum(0)[:-1]])
        query = rows[starts.to(rows.device), :hidden]
        attended = first_token_attention(query, rows[:, hidden:], layouts, heads, dropout)
    else:
        attended = packed_attention(rows, layouts, heads, dropout)
    attended.float().square().sum().backward()
    return attended.detach(), rows.grad


RUNS = {
    "mixed": ((5, 1, 7), (3, 3)),
    "one token": ((1,),),
    "tokens alone": ((1, 1, 1), (1,)),
    "one long": ((512,),),
    "long beside short": ((1, 512), (2,)),
    "many streams": tuple((1 + number % 3,) for number in range(40)),
}


@pytest.mark.parametrize("first_only", [False, True], ids=["all", "first"])
@pytest.mark.parametrize("runs", RUNS.values(), ids=RUNS)
def test_flash_attention_is_plain_attention(device, kernel, runs, first_only):
    rows = torch.randn(sum(map(sum, runs)), 3 * 2 * 16).bfloat16()
    expected = attend(rows.float(), runs, 2, first_only)
    results = attend(rows.to(device), runs, 2, first_only)
    assert kernel.calls == 1
    for ours, theirs in zip(results, expected, strict=True):
        torch.testing.assert_close(ours.float().cpu(), theirs, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("first_only", [False, True], ids=["all", "first"])
@pytest.mark.parametrize(("width", "dtype"), [
    (64, torch.bfloat16), (64, torch.float16), (11, torch.bfloat16), (256, torch.bfloat16),
    (16, torch.float32),
])  # fmt: skip
def test_heads_of_each_width_and_precision(device, kernel, width, dtype, first_only):
    runs = RUNS["mixed"]
    rows = torch.randn(sum(map(sum, runs)), 3 * 3 * width).to(dtype)
    expected = attend(rows.float(), runs, 3, first_only)
    results = attend(rows.to(device), runs, 3, first_only)
    # Heads that the kernel lacks, in training or at all, and full precision run without it.
    assert kernel.calls == (width == 64)
    close = {"atol": 1e-4, "rtol": 1e-4} if dtype == torch.float32 else {"atol": 0.12, "rtol": 0.1}
    for ours, theirs in zip(results, expected, strict=True):
        torch.testing.assert_close(ours.float().cpu(), theirs, **close)


@pytest.mark.parametrize("first_only", [False, True], ids=["all", "first"])
def test_dropped_attention_weights(device, kernel, first_only):
    runs = ((64,) * 50,)
    rows = torch.randn(3200, 3 * 64, device=device).bfloat16()
    whole, _ = attend(rows, runs, 2, first_only)
    dropped, gradient = attend(rows, runs, 2, first_only, 0.3)
    again, _ = attend(rows, runs, 2, first_only, 0.3)
    assert kernel.calls == 3
    assert not torch.equal(whole, dropped) and not torch.equal(again, dropped)
    assert abs(float((dropped.float() - whole.float()).mean())) < 0.02
    # Outputs are linear in the values: with one mask in both passes <dL/dV, V> is <dL/dO, O>.
    inner = float((gradient[:, 128:].double() * rows[:, 128:].double()).sum())
    assert inner == pytest.approx(float(2 * dropped.double().square().sum()), rel=0.01)


# Narrow heads that the kernel takes, two layers, and no dropout, whose numbers differ by device.
SMALL = (
    *(word for word in QUICK if "hidden" not in word and "embedding" not in word),
    "encoder.hidden=24", "encoder.embedding=24", "encoder.layers=2", "encoder.dropout=0",
    "encoder.attention_dropout=0", "head.dropout=0", "dry_run=false", "sharing.plan=S1-I1",
)  # fmt: skip


def small_spec(device, precision, words):
    where = (f"trainer.device={device}", f"trainer.precision={precision}")
    return start_on_machine(resolve_spec(load_config(*SMALL, *words, *where)))


@pytest.fixture(scope="module")
def small_inputs(tmp_path_factory):
    """The inputs of these overrides, loaded once."""

    @cache
    def load(words):
        return load_inputs(small_spec("cpu", "fp32", words), tmp_path_factory.mktemp("inputs"))

    return load


def learner_on(device, precision, words, inputs, folder):
    run_spec = small_spec(device, precision, words)
    if any(word.startswith("phases=") for word in words):
        return make_trainer(run_spec, inputs, folder).learner
    return make_learner(run_spec, inputs, run_spec.architecture)


def first_gradients(learner):
    """Losses of the first update, and the gradients of all weights that have one."""
    parts = {}

    def keep(optimizer, *_):
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        parts[id(optimizer)] = [gradient.flatten().float().cpu() for gradient in gradients]

    for component in learner.components:
        component.optimizer.register_step_pre_hook(keep)
    losses = learner.update(0, 4).losses
    return losses, torch.cat([part for kept in parts.values() for part in kept])


STEPS = {
    "pooler": ("head.pooling=pooler",),
    "cls": ("head.pooling=cls", "optimizer.clip=0.01"),
    "mean": ("head.pooling=mean", "optimizer.clip=null"),
    "an early layer": ("task.sst.layer=1",),
    "frozen": ("sharing.plan=F1-I1", "cache.prefix=false"),
    "pals": ("sharing.plan=S2", "sharing.pals.size=6"),
    "low rank": ("sharing.plan=S2", "sharing.pals.size=6", "sharing.pals.kind=low_rank"),
    "tie": ("sharing.plan=T2", "sharing.tie.kind=trace_norm"),
    "lanes": ("sharing.plan=S2", "sharing=progressive", "sharing.lanes.fusion=attention"),
    "smart": ("regularizer=smart", "regularizer.proximal=1"),
    "surgery": ("sharing.plan=S2", "loss.aggregation=gradvac"),
    "uncertainty": ("loss.weighting=uncertainty",),
    "masked tokens": ("phases=mlm", "phases.mlm.steps=4"),
    "separate pairs": ("pairing=separate",),
}


@pytest.mark.parametrize(("device", "precision"), [
    pytest.param("cpu", "fp32", marks=pytest.mark.slow), ("cpu", "bf16"),
    pytest.param("cuda", "fp32", marks=GPU), pytest.param("cuda", "bf16", marks=GPU),
], indirect=["device"])  # fmt: skip
@pytest.mark.parametrize("words", STEPS.values(), ids=STEPS)
def test_a_step_agrees_with_the_cpu(device, kernel, tmp_path, small_inputs, words, precision):
    inputs = small_inputs(tuple(w for w in words if w.startswith(("pairing", "phases", "task."))))
    expected = first_gradients(learner_on("cpu", "fp32", words, inputs, tmp_path))
    learner = learner_on(device, precision, words, inputs, tmp_path)
    losses, gradients = first_gradients(learner)
    assert bool(kernel.calls) == (precision == "bf16")
    assert losses == pytest.approx(expected[0], rel=0.03 if precision == "bf16" else 1e-4)
    if "regularizer=smart" not in words:  # its noise differs by device
        alike = torch.cosine_similarity(gradients.double(), expected[1].double(), dim=0)
        assert float(alike) > (0.98 if precision == "bf16" else 0.9999)
        assert float(gradients.norm()) == pytest.approx(float(expected[1].norm()), rel=0.05)
    learner.update(1, 4)
    assert all(bool(torch.isfinite(w).all()) for w in learner.network.parameters())


def test_dropout_of_every_kind_trains(device, kernel, tmp_path, small_inputs):
    words = ("encoder.dropout=0.2", "encoder.attention_dropout=0.2", "head.dropout=0.2")
    learner = learner_on(device, "bf16", words, small_inputs(()), tmp_path)
    losses = [learner.update(0, 4).losses for _ in range(2)]
    assert losses[0] != losses[1] and np.isfinite([*losses[0].values()]).all()


@pytest.mark.parametrize("clip", [0.05, 1000.0])
def test_clipping_inside_the_fused_step_is_torchs(device, clip):
    torch.manual_seed(3)
    starts, slopes = torch.randn(2, 3, 7, 5), torch.randn(4, 3, 7, 5)
    config = OptimizerConfig(lr=0.1, weight_decay=0.1, clip=clip)
    ours = [nn.Parameter(start.to(device)) for start in starts.flatten(0, 1)]
    theirs = [nn.Parameter(start) for start in starts.flatten(0, 1)]
    optimizer = make_optimizer([(f"heads.{n}", w) for n, w in enumerate(ours)], config)
    plain = torch.optim.AdamW(theirs, lr=0.05, weight_decay=0.1, foreach=False,
                              betas=tuple(config.betas), eps=config.epsilon)  # fmt: skip
    for slope in slopes:
        for own, other, gradient in zip(ours, theirs, [*slope, *slope], strict=True):
            own.grad, other.grad = gradient.to(device), gradient.clone()
        set_rate(optimizer, 0.5)
        clip_gradients(optimizer, clip)
        optimizer.step()
        nn.utils.clip_grad_norm_(theirs, clip)
        plain.step()
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.detach().cpu(), other.detach(), rtol=1e-4, atol=1e-5)


def test_a_resumed_training_is_an_uninterrupted_one(device, kernel, tmp_path, small_inputs):
    def made():
        words = ("optimizer.clip=0.05", "encoder.dropout=0.1")
        return learner_on(device, "bf16", words, small_inputs(()), tmp_path)

    whole, stopped, resumed = made(), made(), made()
    for step in range(2):
        stopped.update(step, 4)
    file = io.BytesIO()
    torch.save(stopped.state(), file)
    resumed.restore(torch.load(io.BytesIO(file.getvalue()), map_location="cpu", weights_only=True))
    for step in range(4):
        whole.update(step, 4)
    for step in (2, 3):
        resumed.update(step, 4)
    # Kernels of a GPU add in any order.
    close = {"rtol": 0, "atol": 0} if device.type == "cpu" else {"rtol": 0.05, "atol": 5e-3}
    pairs = zip(whole.network.parameters(), resumed.network.parameters(), strict=True)
    for expected, found in pairs:
        torch.testing.assert_close(found, expected, **close)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_predictions_agree_with_the_cpu(device, kernel, tmp_path, small_inputs, precision):
    inputs, answers = small_inputs(()), []
    for where, how in (("cpu", "fp32"), (device, precision)):
        run_spec = small_spec(where, how, ())
        network = run_spec.network(run_spec.architecture, inputs.tower)
        for task, data in inputs.dev.items():
            answers.append(predict(network, task, data, run_spec.measures[task], run_spec.runtime))
    half = len(answers) // 2
    assert bool(kernel.calls) == (precision == "bf16")
    for (expected, loss), (found, own) in zip(answers[:half], answers[half:], strict=True):
        assert own == pytest.approx(loss, rel=0.03)
        parts = (found.values, expected.values)
        if expected.probability is not None:
            parts = (found.probability, expected.probability)
        np.testing.assert_allclose(*parts, atol=0.05)


def test_a_batch_moves_with_everything_that_it_holds(device):
    text = PackedBatch(torch.tensor([7, 8]), torch.tensor([0, 1]), (2,), torch.ones(2, 3),
                       picked=torch.tensor([1]))  # fmt: skip
    moved = text.to(device)
    for name in ("tokens", "token_types", "states", "picked"):
        value = getattr(moved, name)
        assert value.device.type == device.type and torch.equal(value.cpu(), getattr(text, name))
    assert (moved.lengths, moved.noise, moved.tags) == ((2,), None, None)


@pytest.mark.parametrize("kind", ["pairs", "mean", "trace_norm"])
def test_a_tie_agrees_with_the_cpu(device, kind):
    weights = [[torch.randn(7, 3), torch.randn(5)] for _ in range(3)]
    results = []
    for where in (CPU, device):
        copies = [[w.to(where, copy=True).requires_grad_() for w in copy] for copy in weights]
        value = Tie(kind, 0.5, copies).add_gradient()
        results.append([torch.tensor(value), *(w.grad.cpu() for copy in copies for w in copy)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


# Whole runs: their CPU twins are the tests of the commands.
def _on_gpu(test):
    for mark in GPU:
        test = mark(test)
    return test


@_on_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "auto"])
def test_a_run_on_the_gpu(mtl_train, precision):
    words = ("trainer.device=cuda", f"trainer.precision={precision}", "score.pairs=1")
    done = mtl_train(*(word for word in QUICK if "pairs" not in word), *words)
    assert done.code == 0, done.err
    assert done.result["memory"]["peak_train_bytes"] < 2**30
    assert done.result["multipliers"]["memory"] > 1
    runs = [load_run(done.folder, device=name) for name in ("cuda", "cpu")]
    # Not the labels: of two classes that are equally probable either may be predicted.
    frames = [run.predict(["a good film"]).select_dtypes("float") for run in runs]
    assert len(frames[0].columns) > 0
    pd.testing.assert_frame_equal(*frames, atol=0.05, rtol=0.05)


@_on_gpu
def test_a_run_on_the_gpu_goes_on_after_a_stop(mtl_train):
    words = (*QUICK, "trainer.device=cuda", "hydra.run.dir=run", "trainer.eval_every=1")
    done = mtl_train(*words)
    assert done.code == 0, done.err
    result = done.cwd / "run" / "result.json"
    result.write_text(result.read_text().replace('"finished"', '"running"'))
    again = mtl_train("resume=run")
    assert again.code == 0, again.err
