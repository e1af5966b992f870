"""The same code on a GPU. Not run by default: make test ARGS="-m gpu"."""

import pytest
import torch

from mtl_sharing.model.encoder.attention import (
    SequenceLayout,
    first_token_attention,
    packed_attention,
)
from mtl_sharing.objectives.ties import Tie
from support import QUICK

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
]


def test_attention_agrees_with_the_cpu():
    lengths, other, heads = (5, 1, 7), (3, 3), 3
    qkv = torch.randn(sum(lengths) + sum(other), 3 * 3 * 11)
    results = []
    for device in map(torch.device, ("cpu", "cuda")):
        layouts = [SequenceLayout.of(each, device) for each in (lengths, other)]
        rows = qkv.to(device).requires_grad_()
        attended = packed_attention(rows, layouts, heads, 0.0)
        attended.square().sum().backward()
        results.append((attended.detach().cpu(), rows.grad.cpu()))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("width", [8, 11, 64])
@pytest.mark.parametrize("first_only", [False, True])
def test_attention_in_bf16_agrees_with_the_cpu(width, first_only):
    lengths, other, heads = (5, 1, 7), (3, 3), 3
    hidden, tokens = heads * width, sum(lengths) + sum(other)
    rows, query = torch.randn(tokens, 3 * hidden), torch.randn(5, hidden)
    results = []
    for device, dtype in (("cpu", torch.float32), ("cuda", torch.bfloat16)):
        layouts = [SequenceLayout.of(each, torch.device(device)) for each in (lengths, other)]
        packed = rows.to(device, dtype).requires_grad_()
        if first_only:
            asked, key_value = query.to(device, dtype), packed[:, hidden:]
            attended = first_token_attention(asked, key_value, layouts, heads, 0.0)
        else:
            attended = packed_attention(packed, layouts, heads, 0.0)
        attended.square().sum().backward()
        results.append((attended.detach().float().cpu(), packed.grad.float().cpu()))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.05, rtol=0.05)


def test_dropped_attention_weights_on_the_gpu():
    layout = SequenceLayout.of((64,) * 50, torch.device("cuda"))
    qkv = torch.randn(3200, 3 * 64, device="cuda", dtype=torch.bfloat16)
    whole = packed_attention(qkv, [layout], 2, 0.0).float()
    dropped = packed_attention(qkv, [layout], 2, 0.3).float()
    assert not torch.equal(whole, dropped)
    assert abs(float((dropped - whole).mean())) < 0.01


@pytest.mark.parametrize("precision", ["fp32", "bf16", "auto"])
def test_a_run_on_the_gpu(mtl_train, precision):
    words = ("trainer.device=cuda", f"trainer.precision={precision}", "score.pairs=1")
    done = mtl_train(*(word for word in QUICK if "pairs" not in word), *words)
    assert done.code == 0, done.err
    assert done.result["memory"]["peak_train_bytes"] < 2**30
    assert done.result["multipliers"]["memory"] > 1


def test_a_run_on_the_gpu_goes_on_after_a_stop(mtl_train):
    words = (*QUICK, "trainer.device=cuda", "hydra.run.dir=run", "trainer.eval_every=1")
    done = mtl_train(*words)
    assert done.code == 0, done.err
    result = done.cwd / "run" / "result.json"
    result.write_text(result.read_text().replace('"finished"', '"running"'))
    again = mtl_train("resume=run")
    assert again.code == 0, again.err


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "words",
    [
        ["sharing=soft"],
        ["sharing=soft", "sharing.tie.kind=trace_norm"],
        ["sharing=pals"],
        ["sharing=pals", "sharing.pals.kind=low_rank", "sharing.plan=F4-S4-I4"],
        ["sharing=progressive"],
        ["sharing=progressive", "sharing.lanes.fusion=attention"],
        ["sharing=hybrid", "task.sst.layer=3"],
    ],
    ids=" ".join,
)
def test_every_regime_on_the_gpu(mtl_train, words, precision):
    done = mtl_train(*QUICK, *words, "trainer.device=cuda", f"trainer.precision={precision}")
    assert done.code == 0, done.err
    assert done.result["status"] == "finished"


@pytest.mark.parametrize("kind", ["pairs", "mean", "trace_norm"])
def test_a_tie_agrees_with_the_cpu(kind):
    weights = [[torch.randn(7, 3), torch.randn(5)] for _ in range(3)]
    results = []
    for device in ("cpu", "cuda"):
        copies = [[w.to(device).requires_grad_() for w in copy] for copy in weights]
        value = Tie(kind, 0.5, copies).add_gradient()
        results.append([torch.tensor(value), *(w.grad.cpu() for copy in copies for w in copy)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
