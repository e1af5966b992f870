"""The plain loops compute what the project computes, and differ only in how."""

import itertools

import numpy as np
import pytest
import torch

from benchmarks import plain_loops
from benchmarks.plain_loops import RandomBatches, fastest_mode, make_plain
from benchmarks.plain_network import PlainNetwork, pad
from benchmarks.project import ProjectTraining, grouped_batches, timed_text
from mtl_sharing.batch import PackedBatch
from support import perturb

PLANS = ["S1-I2", "I3", "S3", "F1-S1-I1", "F3"]


def norm(network):
    found = [p.grad.norm() for p in network.parameters() if p.grad is not None]
    return float(torch.stack(found).norm())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("plan", PLANS)
def test_losses_and_gradients_are_the_projects(made, plan, attention):
    run_spec, inputs = made(plan)
    network = perturb(run_spec.network(run_spec.architecture, inputs.tower)).train()
    plain = PlainNetwork(network, attention).train()
    batches = {task: b[1] for task, b in grouped_batches(run_spec, inputs).items()}
    measures = run_spec.measures

    def losses(raw):
        return [measures[task].objective.loss(raw[task], b.labels) for task, b in batches.items()]

    ours = losses(network({task: batch.text for task, batch in batches.items()}))
    theirs = losses(plain({task: pad(batch.text) for task, batch in batches.items()}))
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)
    assert len({round(loss.item(), 4) for loss in ours}) == 3
    torch.stack(ours).mean().backward()
    torch.stack(theirs).mean().backward()
    assert norm(plain) == pytest.approx(norm(network), rel=1e-3)
    trained = [sum(p.numel() for p in n.parameters() if p.requires_grad) for n in (network, plain)]
    assert trained[0] == trained[1] > 0


def test_only_a_frozen_prefix_runs_without_dropout(made):
    run_spec, inputs = made("F1-S1-I1", "encoder.dropout=0.5")
    network = run_spec.network(run_spec.architecture, inputs.tower)
    model = PlainNetwork(network).train().tasks["sst"]
    stages = [model.embeddings, *model.layers, model.pooler]
    assert [stage.training for stage in stages] == [False, False, True, True, True]


def test_what_has_no_plain_counterpart_is_refused(made):
    run_spec, inputs = made("S3", "sharing.pals.size=6")
    with pytest.raises(ValueError, match="plain loop"):
        PlainNetwork(run_spec.network(run_spec.architecture, inputs.tower))


def test_padding_keeps_every_token_in_its_row():
    text = PackedBatch(torch.tensor([7, 8, 9, 5]), torch.tensor([0, 0, 1, 0]), (3, 1))
    padded = pad(text)
    assert padded.ids.tolist() == [[7, 8, 9], [5, 0, 0]]
    assert padded.types.tolist() == [[0, 0, 1], [0, 0, 0]]
    assert padded.mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_all_tasks_on_one_text_as_each_by_itself(made):
    run_spec, inputs = made("S1-I2")
    network = perturb(run_spec.network(run_spec.architecture, inputs.tower))
    plain, text = PlainNetwork(network).eval(), pad(timed_text(inputs.dev))
    together = plain.predict_all(text)
    for task, raw in plain(dict.fromkeys(run_spec.specs, text)).items():
        torch.testing.assert_close(together[task], raw)


def test_prediction_sees_every_text_once_by_length(made):
    run_spec, inputs = made("S1-I2")
    loop = make_plain(run_spec, inputs, "best", "predict")
    lengths = [n for text in loop.texts for n in text.mask.sum(dim=1).tolist()]
    assert lengths == sorted(timed_text(inputs.dev).lengths)
    assert loop.work(0).examples == len(lengths) == 96


def test_random_batches_hold_each_example_once_an_epoch(made):
    _, inputs = made("S1-I2")
    data = inputs.train["sst"]
    batches = RandomBatches("sst", data, 7, seed=3)

    def epoch(number):
        first = number * len(batches)
        return [batches[n].text.tokens.tolist() for n in range(first, first + len(batches))]

    words = [sorted(itertools.chain(*epoch(number))) for number in (0, 1)]
    assert words[0] == words[1] == sorted(data.first.tokens.tolist())
    assert epoch(0) != epoch(1)
    assert epoch(0) == epoch(0)


@pytest.mark.parametrize("kind", ["recipe", "best"])
def test_a_loop_learns(made, kind):
    run_spec, inputs = made("S1-I2", "optimizer.lr=5e-3")
    loop = make_plain(run_spec, inputs, kind, "train")
    first = float(loop.gradients(0))
    loop.optimizer.zero_grad()
    for _ in range(15):
        loop.step(0)
    assert float(loop.gradients(0)) < 0.9 * first


def test_the_best_loop_meets_the_projects_text_step_by_step(made):
    run_spec, inputs = made("S1-I2")
    ours = ProjectTraining(run_spec, inputs)
    theirs = make_plain(run_spec, inputs, "best", "train")
    work = [ours.work(number) for number in range(5)]
    assert work == [theirs.work(number) for number in range(5)]
    assert len({load.tokens for load in work}) > 1
    assert work != [make_plain(run_spec, inputs, "recipe", "train").work(n) for n in range(5)]


def test_the_projects_load_is_what_its_learner_takes(made):
    run_spec, inputs = made("S1-I2")
    ours, seen = ProjectTraining(run_spec, inputs), []
    ours.learner.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for number in range(3):
        ours.step(number)
    tokens = [sum(len(text.tokens) for text in texts.values()) for texts in seen]
    assert tokens == [ours.work(number).tokens for number in range(3)]


def test_the_fastest_mode_is_chosen(monkeypatch):
    seconds = {
        ("fp32", "sdpa"): 3,
        ("fp32", "eager"): 2,
        ("bf16", "sdpa"): 1.9,
        ("bf16", "eager"): 9,
    }
    tried = []

    class Loop:
        device, trial = torch.device("cpu"), None

        def use(self, mode):
            self.mode = mode

    def timed(device, work):
        tried.append(loop.mode)
        # The first of all is slow for everyone, as first steps are.
        return 50 if len(tried) <= 4 else seconds[loop.mode]

    loop = Loop()
    monkeypatch.setattr(plain_loops, "timed", timed)
    assert fastest_mode(loop) == ("bf16", "sdpa")
    assert tried.count(("bf16", "eager")) < tried.count(("fp32", "eager"))


def test_a_trial_changes_no_weight(made):
    run_spec, inputs = made("S1-I2")
    loop = make_plain(run_spec, inputs, "best", "train")
    before = [weight.clone() for weight in loop.weights]
    fastest_mode(loop)
    assert all(map(torch.equal, before, loop.weights))
    assert all(weight.grad is None for weight in loop.weights)
    assert np.isfinite(float(loop.gradients(0)))
