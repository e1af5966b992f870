"""A run with stored states is the run without them, within the precision."""

import pytest
import torch

from mtl_sharing.job.frozen_states import with_frozen_states
from mtl_sharing.job.phases import make_learner
from mtl_sharing.utils.device import autocast

JOINED = "pairing.mode=joined"
LANES = "sharing.lanes.fusion"
LONG = ("trainer.max_steps=36", "trainer.eval_every=36")


def id_of(value):
    return " ".join(value) if isinstance(value, tuple) else None


def slow(words, depth):
    """A corner of a mechanism that a faster case covers."""
    return pytest.param(words, depth, marks=pytest.mark.slow)


# Regimes, each with the number of frozen layers below the stored states.
CASES = [
    (("sharing.plan=F2-I1",), 2),
    slow(("sharing.plan=F2-I1", JOINED), 2),
    (("sharing.plan=F1-S1-T1", "sharing.tie.strength=0.1"), 1),
    slow(("sharing.plan=F1-G1:quora+sts-I1", "head.pooling=cls"), 1),
    (("sharing.plan=F2-S1", "head.pooling=cls"), 2),
    (("sharing.plan=F2-S1", "head.pooling=pooler", JOINED), 2),
    # The whole encoder is frozen: each text is one vector.
    (("sharing.plan=F3",), 3),
    slow(("sharing.plan=F3/S", "head.depth=1", "head.pooling=cls", JOINED), 3),
    (("sharing.plan=F3-PI", "head.pooling=pooler"), 3),
    slow(("sharing.plan=F3-PF", "head.pooling=pooler", JOINED), 3),
    # Heads that read a layer below, at and above the frozen ones.
    (("sharing.plan=F2-S1", "head.layer=0"), 1),
    slow(("sharing.plan=F2-S1", "head.layer=1", "head.pooling=cls"), 2),
    slow(("sharing.plan=F1-S2", "head.layer=1"), 1),
    slow(("sharing.plan=F2-I1", "task.quora.layer=0"), 1),
    slow(("sharing.plan=F3", "task.sst.layer=0", "head.pooling=cls"), 1),
    (("sharing.plan=F2-I1", "task.quora.layer=1", "head.pooling=cls"), 2),
    # PALs: the states end below the lowest.
    slow(("sharing.plan=F1-S2", "sharing.pals.size=6", "sharing.pals.layers=top"), 1),
    (("sharing.plan=F2-S1", "sharing.pals.size=6", "sharing.pals.layers=top"), 1),
    slow(("sharing.plan=F3", "sharing.pals.size=6", "sharing.pals.layers=top"), 1),
    (("sharing.plan=F2-S1", f"{LANES}=attention", "sharing.lanes.task_dropout=0.3"), 2),
    slow(
        ("sharing.plan=F3", f"{LANES}=concatenation", "sharing.lanes.upstream_rate=0.5", JOINED), 3
    ),
    # One task a step.
    (("sharing.plan=F2-I1", "sampler.name=round_robin", *LONG), 2),
    slow(("sharing.plan=F2-S1", "sampler.name=temperature", *LONG), 2),
    (("sharing.plan=F2-I1", "trainer.accumulation=3", "trainer.max_steps=3"), 2),
    slow(("sharing.plan=F2-I1", "trainer.eval_examples=4", "trainer.eval_batch_size=5"), 2),
]


@pytest.mark.parametrize(("words", "depth"), CASES, ids=id_of)
def test_a_run_is_the_same_with_and_without(train, entries, words, depth):
    plain = train(*words, "cache.prefix=false")
    stored = train(*words)
    stored.check_equal(plain, 5e-5)
    assert stored.computed == 0 < plain.computed
    assert {about["layers"] for about in entries().values()} == {depth}
    # Else nothing would follow from the states.
    assert plain.trained
    assert not [name for name in plain.trained if name.startswith("encoder.embeddings")]


@pytest.mark.parametrize(
    "words", [("sharing.plan=F2-I1",), pytest.param(("sharing.plan=F3",), marks=pytest.mark.slow)]
)
def test_bf16_runs_are_the_same_within_its_rounding(train, entries, words):
    words = (*words, "trainer.precision=bf16")
    plain = train(*words, "cache.prefix=false")
    stored = train(*words)
    assert stored.computed == 0 < plain.computed
    # Each state is rounded by 2^-9 of its value at most; training then carries it on.
    torch.testing.assert_close(stored.losses[0], plain.losses[0], rtol=2**-10, atol=2**-10)
    torch.testing.assert_close(stored.losses, plain.losses, rtol=2**-6, atol=2**-6)
    torch.testing.assert_close(stored.after, plain.after, rtol=2**-7, atol=2**-7)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("words", "read"),
    [
        (("sharing.plan=F2-I1",), "all"),
        (("sharing.plan=F3",), "mean"),
        (("sharing.plan=F3", "head.pooling=pooler"), "first"),
    ],
)
def test_states_are_what_the_networks_frozen_layers_give(prepare, entries, precision, words, read):
    run_spec, plain = prepare(*words, f"trainer.precision={precision}")
    stored = with_frozen_states(run_spec, plain)
    assert {about["read"] for about in entries().values()} == {read}
    network = make_learner(run_spec, plain, run_spec.architecture).network.eval()
    given = []
    top = network.encoder.layers[run_spec.architecture.frozen_layers - 1].copies[0]
    top.register_forward_hook(lambda _, __, output: given.append(output))
    for task, data in plain.dev.items():
        numbers = [4, 0, 2]
        text = data.collate(numbers).text
        with torch.inference_mode(), autocast(precision, run_spec.runtime.device):
            network({task: text})
        wanted = given.pop()
        if read == "mean":
            wanted = torch.stack([part.mean(0) for part in wanted.split(text.lengths)])
        states = stored.dev[task].collate(numbers).text.states
        assert states.dtype == (torch.float32 if precision == "fp32" else torch.bfloat16)
        within = 1e-5 if precision == "fp32" else 2**-8
        torch.testing.assert_close(states.float(), wanted.float(), rtol=within, atol=within)


def test_a_run_is_the_same_bit_for_bit_however_the_cache_was_filled(train, entries, tmp_path):
    cold = train("sharing.plan=F2-I1")
    warm = train("sharing.plan=F2-I1")
    warm.check_equal(cold, 0)
    (tmp_path / "cache").rename(tmp_path / "old")
    # Other order of the examples, other heads, other regime above, another bound.
    train("sharing.plan=F2-S1", "seed=7", "trainer.batch_size=2", "trainer.max_steps=8",
          "encoder.dropout=0.3", "cache.max_gb=1")  # fmt: skip
    known = entries()
    warm = train("sharing.plan=F2-I1")
    assert entries() == known
    warm.check_equal(cold, 0)
    assert warm.computed == cold.computed == 0


def test_computing_states_draws_no_random_number(prepare):
    run_spec, inputs = prepare("sharing.plan=F2-I1")
    before = torch.get_rng_state()
    with_frozen_states(run_spec, inputs)
    assert torch.equal(torch.get_rng_state(), before)
