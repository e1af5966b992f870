"""Trainings with a teacher: what it changes, and that everything else stays as it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mtl_sharing.job.phases import make_learner, make_trainer
from mtl_sharing.objectives.aggregation import AGGREGATIONS
from mtl_sharing.objectives.weighting import WEIGHTINGS
from mtl_sharing.sampling.samplers import SAMPLERS

PLAN = ("encoder.layers=2", "sharing.plan=S1-I1", "encoder.dropout=0.1", "trainer.max_steps=6",
        "trainer.eval_every=3")  # fmt: skip
NO_DROPOUT = ("encoder.dropout=0", "encoder.attention_dropout=0", "head.dropout=0")
ANNEALED = ("distillation.weight=1", "distillation.end=0")
REGULARIZERS = {"none": (), "smart": ("regularizer.name=smart", "regularizer.weight=1"),
                "r_drop": ("regularizer.name=r_drop", "regularizer.weight=1")}  # fmt: skip


@pytest.fixture
def teach(prepare):
    """Spec and inputs of a run, with a teacher's outputs drawn at random."""

    def make(*words, phases=()):
        run_spec, inputs = prepare(*PLAN, *words, phases=phases)
        random, train = np.random.default_rng(5), {}
        for task, data in inputs.train.items():
            outputs = run_spec.measures[task].objective.outputs
            teacher = random.standard_normal((len(data), outputs), dtype=np.float32)
            train[task] = replace(data, teacher=teacher)
        return run_spec, replace(inputs, train=train)

    return make


def learner_of(teach, *words):
    run_spec, inputs = teach(*words)
    return make_learner(run_spec, inputs, run_spec.architecture)


def weights_of(learner, steps=3):
    for step in range(steps):
        learner.update(step, 6)
    return torch.cat([weight.detach().flatten() for weight in learner.network.parameters()])


@pytest.mark.parametrize("regularizer", [
    "none", *(pytest.param(name, marks=pytest.mark.slow) for name in ("smart", "r_drop"))
])  # fmt: skip
def test_a_weight_of_0_changes_no_bit(teach, fresh_learner, regularizer):
    words = REGULARIZERS[regularizer]
    plain = weights_of(fresh_learner(*PLAN, *words))
    assert torch.equal(weights_of(learner_of(teach, *words, "distillation.weight=0")), plain)
    assert not torch.equal(weights_of(learner_of(teach, *words, "distillation.weight=0.5")), plain)


COMBINED = [
    *[(f"sampler.name={name}",) for name in SAMPLERS],
    *[(f"loss.weighting={name}",) for name in WEIGHTINGS],
    *[(f"loss.aggregation={name}",) for name in AGGREGATIONS],
    ("trainer.accumulation=2", "trainer.batch_size=3"),
]


@pytest.mark.parametrize("words", [
    pytest.param(words, id=" ".join(words), marks=[pytest.mark.slow] * ("annealed" not in words[0]))
    for words in COMBINED
])  # fmt: skip
def test_it_works_beside_smart_and(teach, fresh_learner, words):
    words = (*REGULARIZERS["smart"], *words)
    found, none = (weights_of(learner_of(teach, *words, *more), 2) for more in (ANNEALED, ()))
    assert torch.isfinite(found).all() and not torch.equal(found, none)
    assert torch.equal(weights_of(fresh_learner(*PLAN, *words), 2), none)


def test_the_loss_of_a_step_by_its_formula(teach):
    run_spec, inputs = teach("distillation.weight=0.25", "distillation.end=0.75",
                             "distillation.temperature=3", *NO_DROPOUT)  # fmt: skip
    learner = make_learner(run_spec, inputs, run_spec.architecture)
    network, batches = learner.network.train(), {t: b[0] for t, b in learner.batches.items()}
    raw = {t: one.detach() for t, one in network({t: b.text for t, b in batches.items()}).items()}
    weight, wanted = 0.25, {}
    for task, batch in batches.items():
        if task == "sts":
            teacher = F.mse_loss(raw[task], batch.teacher)
        elif task == "quora":
            p = (batch.teacher / 3).sigmoid()
            cross = F.binary_cross_entropy_with_logits(raw[task] / 3, p)
            teacher = 9 * (cross - F.binary_cross_entropy(p, p))
        else:
            q, p = (raw[task] / 3).log_softmax(1), (batch.teacher / 3).log_softmax(1)
            teacher = 9 * (p.exp() * (p - q)).sum(1).mean()
        labels = learner.objectives[task].loss(raw[task], batch.labels)
        wanted[task] = float((1 - weight) * labels + weight * teacher)
    assert learner.update(0, 6).losses == pytest.approx(wanted, rel=1e-5)


def test_a_resumed_run_equals_an_uninterrupted_one(teach, stop_at, tmp_path):
    def trainer_in(name):
        (tmp_path / name).mkdir(exist_ok=True)
        return make_trainer(*teach(*ANNEALED, *REGULARIZERS["smart"]), tmp_path / name)

    whole = trainer_in("whole")
    whole.run()
    stop_at(trainer_in("stopped"), 4)
    again = trainer_in("stopped")
    assert again.restore()
    again.run()
    for one, other in zip(again.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_only_phases_of_the_tasks_have_a_teacher(teach, tmp_path):
    phases = ("mlm", "ranking", "heads_first", "single_after")
    trainer = make_trainer(*teach(*ANNEALED, phases=phases), tmp_path)
    found = {}
    while True:
        batches = trainer.learner.batches.values()
        found[trainer.phase.name] = {batch[0].teacher is not None for batch in batches}
        if trainer.phase is trainer.phases[-1]:
            break
        trainer.next_phase()
    assert found == {"mlm": {False}, "ranking": {False}, "heads_first": {True}, "main": {True},
                     "single_after": {True}}  # fmt: skip
