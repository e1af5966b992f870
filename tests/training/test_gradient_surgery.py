"""Gradients that are merged in a step of the whole network."""

import copy
from functools import partial

import pytest
import torch

from mtl_sharing.job.phases import make_learner
from mtl_sharing.utils.hashing import random_seed

PLAIN = ("encoder.dropout=0.0", "encoder.attention_dropout=0.0", "head.dropout=0.0",
         "optimizer.clip=null", "encoder.layers=4")  # fmt: skip


@pytest.fixture
def learner(fresh_learner):
    return partial(fresh_learner, *PLAIN)


def gradients(learner, steps=1):
    """The gradients with which the last of some updates is made."""
    found = {}

    def note():
        for name, weight in learner.network.named_parameters():
            if weight.grad is not None:
                found[name] = weight.grad.clone()

    (component,) = learner.components
    step = component.optimizer.step
    component.optimizer.step = lambda: (note(), step())[1]
    for number in range(steps):
        found.clear()
        update = learner.update(number, 10)
    return found, update


PLANS = ["S4", "S2-I2", "S1-G2:quora+sts-I1", "F2-S2", "T2-S2"]


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("plan", PLANS)
def test_the_sum_of_parted_gradients_is_the_gradient_of_the_sum(learner, plan, accumulation):
    words = (f"sharing.plan={plan}", f"trainer.accumulation={accumulation}")
    wanted, _ = gradients(learner(*words))
    found, update = gradients(learner(*words, "loss.cosines=network"))
    assert set(found) == set(wanted)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)
    pairs = {"sst+quora", "sst+sts", "quora+sts"}
    assert set(update.cosines) == {f"network/{pair}" for pair in pairs}
    assert all(-1 <= cosine <= 1 for cosine in update.cosines.values())


@pytest.mark.parametrize("weighting", ["fixed", "uncertainty", "random"])
def test_pcgrad_is_torchjd_s_over_the_full_jacobian_and_leaves_other_weights(learner, weighting):
    from torchjd.aggregation import PCGrad

    words = ("sharing.plan=S2-I2", f"loss.weighting={weighting}")
    alone = {}
    for task in ("sst", "quora", "sts"):
        one = learner(*words)
        # The same draw with the other tasks' terms left out.
        weighting = one.components[0].weighting
        term = weighting.term
        weighting.term = lambda t, *rest, own=task, term=term: term(t, *rest) * (t == own)
        alone[task], _ = gradients(one)
    shared = {id(w) for stage in one.network.shared().values() for w in stage}
    names = [name for name, w in one.network.named_parameters() if id(w) in shared]
    rows = [torch.cat([found[name].flatten() for name in names]) for found in alone.values()]
    # A conflict, or nothing would be tested.
    parted = learner(*words, "loss.aggregation=pcgrad")
    found, _ = gradients(parted)
    # The random numbers of the draw, of which nothing else takes any.
    torch.manual_seed(random_seed(parted.seed, 0, parted.components[0].tasks))
    wanted = PCGrad()(torch.stack(rows).double()).float()
    merged = torch.cat([found[name].flatten() for name in names])
    torch.testing.assert_close(merged, wanted, rtol=1e-3, atol=1e-6)
    for name in set(found) - set(names):
        own = sum(gradient.get(name, torch.zeros(())) for gradient in alone.values())
        torch.testing.assert_close(found[name], own, rtol=1e-4, atol=1e-6)


def test_cosines_of_every_shared_stage(learner):
    _, update = gradients(learner("sharing.plan=S2-I2", "loss.cosines=stages"))
    stages = {name.split("/")[0] for name in update.cosines}
    assert stages == {"network", "embeddings", "layer.0", "layer.1"}


def test_one_task_in_a_step_needs_no_surgery(learner):
    words = ("sharing.plan=S4", "sampler.name=round_robin")
    wanted, _ = gradients(learner(*words), steps=3)
    found, update = gradients(learner(*words, "loss.aggregation=mgda"), steps=3)
    assert update.cosines == {}
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def test_individual_models_share_nothing_to_merge(learner):
    components = learner("sharing.plan=I4", "loss.aggregation=pcgrad").components
    assert [component.surgery for component in components] == [None] * 3


def test_each_component_merges_the_gradients_of_its_own_tasks(learner):
    """Two tasks share and the third is alone: the rule never sees the third."""
    made = learner("sharing.plan=G4:quora+sts", "loss.aggregation=mean", "loss.cosines=network")
    alone, pair = made.components
    assert (alone.tasks, alone.surgery) == (("sst",), None)
    assert set(made.update(0, 4).cosines) == {"network/quora+sts"}
    assert {id(w) for ws in pair.surgery.shared.values() for w in ws} <= {
        id(w) for group in pair.optimizer.param_groups for w in group["params"]
    }


@pytest.mark.parametrize(
    "words",
    [
        ("loss.aggregation=gradvac", "trainer.accumulation=2"),
        ("loss.weighting=uncertainty", "loss.aggregation=pcgrad"),
        ("loss.weighting=dwa", "trainer.epochs=5", "loss.cosines=stages"),
        ("loss.weighting=random", "trainer.precision=bf16", "loss.aggregation=imtl_g"),
        ("sampler.name=annealed", "trainer.epochs=4"),
    ],
)
def test_a_restored_learner_goes_on_as_the_uninterrupted_one(prepare, words):
    run_spec, inputs = prepare("sharing.plan=S2-I2", "encoder.layers=4", *words)

    def fresh():
        return make_learner(run_spec, inputs, run_spec.architecture)

    torch.manual_seed(5)
    whole = fresh()
    for step in range(3):
        whole.update(step, 6)
    state = copy.deepcopy(whole.state())
    wanted = [whole.update(step, 6) for step in range(3, 6)]
    resumed = fresh()
    torch.manual_seed(7)  # what torch drew elsewhere has no say
    resumed.restore(state)
    assert [resumed.update(step, 6) for step in range(3, 6)] == wanted
    for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(one, other)
    weightings = [learner.components[0].weighting.parameters() for learner in (whole, resumed)]
    for one, other in zip(*weightings, strict=True):
        assert torch.equal(one, other) and one.any()
