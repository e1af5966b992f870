"""A task whose loss has no weight: no draw of any sampler names it."""

from dataclasses import replace

import pytest

from mtl_sharing.build import training_epochs, training_sampler, training_steps
from mtl_sharing.run.settings import PhaseConfig
from mtl_sharing.schedule import phase_blueprint
from support import QUICK

# Batches of unequal size, so that steps of a unified training depend on who is in them.
SIZES = ("encoder.layers=2", "sharing.plan=S2", "task.quora.batch_size=7")
WEIGHTLESS = ("loss.weights.sst=0", "loss.weights.quora=3", "loss.weights.sts=2")
LEFT = ("quora", "sts")
SAMPLERS = (
    ("sampler.name=unified",),
    ("sampler.name=round_robin",),
    ("sampler.name=round_robin", "sampler.exhausted=stop"),
    ("sampler.name=sequential",),
    ("sampler.name=temperature",),
    ("sampler.name=annealed",),
)


@pytest.fixture
def both(prepare):
    """A run with a weightless task, and the same one without that task: blueprints, material."""

    def make(*words):
        blueprint, material = prepare(*SIZES, *WEIGHTLESS, *words)
        rest = ("loss.weights.quora=3", "loss.weights.sts=2", "suite.tasks=[quora,sts]")
        fewer, _ = prepare(*SIZES, *rest, *words)
        train = {task: material.train[task] for task in LEFT}
        return (blueprint, material), (fewer, replace(material, train=train))

    return make


@pytest.mark.parametrize("words", SAMPLERS, ids=" ".join)
def test_its_turns_are_those_of_a_run_without_it(both, words):
    runs = both(*words, "trainer.max_steps=null", "trainer.epochs=3")
    found, wanted = (
        (training_steps(*run), training_epochs(*run).lengths,
         [training_sampler(*run).tasks(draw) for draw in range(training_steps(*run))])
        for run in runs
    )  # fmt: skip
    assert found == wanted
    assert {task for tasks in found[2] for task in tasks} == set(LEFT)


@pytest.mark.parametrize("words", SAMPLERS, ids=" ".join)
def test_no_update_is_without_a_loss(fresh_learner, words):
    own = ("loss.aggregation=pcgrad", "trainer.max_steps=6")
    learner = fresh_learner(*SIZES, *WEIGHTLESS, *words, *own)
    updates = [learner.update(step, 6) for step in range(6)]
    assert all(update.losses and update.examples for update in updates)
    assert "sst" not in learner.served


@pytest.mark.parametrize("kind", ["masked_lm", "ranking"])
def test_phases_of_another_kind_do_not_know_the_weights(prepare, kind):
    """Their draws are those of a run that weighs all tasks alike."""
    course, found = ("sampler.name=temperature", "trainer.max_steps=null"), []
    for words in ((), WEIGHTLESS):
        blueprint, material = prepare(*SIZES, *course, *words)
        if kind == "ranking":
            material = replace(material, train={"sst": material.train["sst"]})
        own = phase_blueprint("own", blueprint, PhaseConfig(kind), material)
        total = training_steps(own, material)
        sampler = training_sampler(own, material)
        found.append([sampler.tasks(draw) for draw in range(total)])
    assert found[0] == found[1]
    assert ("sst",) in found[0]


def test_a_phase_of_the_tasks_leaves_it_out(prepare):
    blueprint, material = prepare(*SIZES, *WEIGHTLESS)
    phase = PhaseConfig("tasks", sampler="round_robin")
    own = phase_blueprint("own", blueprint, phase, material)
    sampler = training_sampler(own, material)
    assert [sampler.tasks(draw) for draw in range(4)] == [("quora",), ("sts",)] * 2


def test_the_score_is_measured_by_the_tasks_that_train(mtl_train, monkeypatch):
    found = []

    def watched(regime, baseline, text, pairs, turns):
        for make in (regime, baseline):
            learner = make()
            found.append([learner.sampler.tasks(draw) for draw in range(turns)])

    monkeypatch.setattr("mtl_sharing.calibration.calibrate", watched)
    words = [word for word in QUICK if "pairs" not in word]
    done = mtl_train(*words, "encoder.layers=1", "sharing.plan=S1", "score.pairs=1",
                     "sampler=proportional", "loss.weights={sst:0,quora:3,sts:2}")  # fmt: skip
    assert done.code == 0, done.err
    assert found == [[("quora",), ("sts",)]] * 2
