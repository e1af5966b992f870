"""One update: accumulation, clipping, what is recorded of it, and what a bad loss leaves."""

import math
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mtl_sharing.errors import UserError
from mtl_sharing.job.phases import make_learner
from mtl_sharing.model.encoder.layers import Embeddings

# Nothing random, so that two learners see the same.
PLAIN = ("encoder.dropout=0", "encoder.attention_dropout=0", "head.dropout=0", "encoder.layers=1",
         "sharing.plan=S1", "optimizer.clip=null")  # fmt: skip


@pytest.fixture
def learner(fresh_learner):
    return partial(fresh_learner, *PLAIN)


def update_with_gradients(learner):
    """The first update of four, and every weight's gradient as the optimizer gets it."""
    gradients = {}

    def keep(*_):
        named = learner.network.named_parameters()
        gradients.update({n: p.grad.clone() for n, p in named if p.grad is not None})

    (component,) = learner.components
    component.optimizer.register_step_pre_hook(keep)
    return learner.update(0, 4), gradients


def test_accumulated_batches_make_the_gradient_of_the_large_batch(learner, text):
    def first_twelve(made, size):
        """Batches of this size, of the first twelve examples of each task."""
        starts = range(0, 12, size)
        made.batches = {
            task: [data.collate(list(range(start, start + size))) for start in starts]
            for task, data in text.train.items()
        }
        return made

    one, expected = update_with_gradients(first_twelve(learner(), 12))
    several, gradients = update_with_gradients(first_twelve(learner("trainer.accumulation=3"), 4))
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)
    assert several.examples == one.examples == 3 * 12
    assert several.losses == pytest.approx(one.losses, rel=1e-5)


def test_unequal_micro_batches_weigh_by_their_examples(learner, text):
    """Of 12 examples, 8 and 4 in two micro-batches: the gradient of the batch of 12."""

    def made_of(*spans):
        made = learner(f"trainer.accumulation={len(spans)}")
        made.batches = {
            task: [data.collate(list(range(*span))) for span in spans]
            for task, data in text.train.items()
        }
        return made

    one, expected = update_with_gradients(made_of((0, 12)))
    several, gradients = update_with_gradients(made_of((0, 8), (8, 12)))
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)
    assert several.examples == one.examples == 3 * 12
    assert several.losses == pytest.approx(one.losses, rel=1e-5)


def test_the_gradient_is_clipped_as_a_whole(learner):
    """AdamW's first moment is a tenth of the gradient that it was given."""

    def moments(clip):
        made = learner(f"optimizer.clip={clip}")
        made.update(0, 4)
        parts = [
            state["exp_avg"].flatten() for state in made.components[0].optimizer.state.values()
        ]
        return torch.cat(parts) / 0.1

    free = moments("null")
    largest = float(free.norm()) / 3
    torch.testing.assert_close(moments(largest), free / 3, rtol=1e-4, atol=1e-7)
    assert torch.equal(moments(float(free.norm()) * 3), free)


def test_a_step_takes_the_tasks_of_its_draws_and_their_next_batches(learner):
    made = learner("sampler.name=round_robin", "trainer.accumulation=2", "trainer.batch_size=4")
    losses = [set(made.update(step, 4).losses) for step in range(2)]
    assert losses == [{"sst", "quora"}, {"sts", "sst"}]
    assert made.served == {"sst": 2, "quora": 1, "sts": 1}


def test_the_rate_follows_the_schedule(learner):
    made = learner("scheduler.name=linear", "scheduler.warmup=0", "optimizer.lr=0.02")
    rates = []
    for step in range(3):
        made.update(step, 4)
        (rate,) = {group["lr"] for group in made.components[0].optimizer.param_groups}
        rates.append(rate)
    assert rates == pytest.approx([0.02, 0.015, 0.01])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_changes_no_weight(learner, value):
    made = learner()

    class Broken:
        def loss(self, raw, labels):
            return raw.sum() * value

    made.objectives = {**made.objectives, "quora": Broken()}
    before = {name: w.clone() for name, w in made.network.state_dict().items()}
    with pytest.raises(UserError, match=r"loss of task quora: found (nan|inf|-inf) at step 3"):
        made.update(2, 4)
    for name, weight in made.network.state_dict().items():
        assert torch.equal(weight, before[name])


def test_a_restored_learner_goes_on_with_the_next_batches(learner):
    first = learner()
    first.update(0, 4)
    state = first.state()
    second = learner()
    second.restore(state)
    assert second.served == {"sst": 1, "quora": 1, "sts": 1}
    for task, batches in second.batches.items():
        expected = first.batches[task][1].text.tokens
        assert torch.equal(batches[second.served[task]].text.tokens, expected)


def test_a_closed_learner_leaves_the_network_as_it_was(learner):
    made = learner()
    (table,) = [m.word for m in made.network.modules() if isinstance(m, Embeddings)]
    assert table.sparse
    made.update(0, 4)
    made.close()
    assert not table.sparse and table.weight.grad is None
    rows = torch.tensor([3, 5])
    table(rows).sum().backward()
    assert not table.weight.grad.is_sparse


class _Casts(TorchDispatchMode):
    """Counts the copies of each weight in half precision."""

    def __init__(self, weights):
        super().__init__()
        self.names, self.counts = {w.data_ptr(): name for name, w in weights}, Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if str(function) == "aten._to_copy.default" and kwargs.get("dtype") == torch.bfloat16:
            self.counts[self.names.get(args[0].data_ptr())] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "settings",
    [
        ("regularizer.name=smart", "regularizer.weight=1"),
        ("loss.aggregation=pcgrad",),
        ("regularizer.name=r_drop", "regularizer.weight=1"),
    ],
    ids=["smart", "surgery", "r-drop"],
)
def test_a_step_casts_a_weight_once(prepare, settings):
    run_spec, inputs = prepare("sharing.plan=S2", "encoder.layers=2", *settings)
    runtime = replace(run_spec.runtime, precision="bf16")
    run_spec = replace(run_spec, runtime=runtime)
    learner = make_learner(run_spec, inputs, run_spec.architecture)
    with _Casts(learner.network.named_parameters()) as casts:
        learner.update(0, 4)
    counts = {name: count for name, count in casts.counts.items() if name is not None}
    assert set(counts.values()) == {1} and len(counts) >= 16
