"""A task whose loss has no weight: no draw of any sampler names it."""

from dataclasses import replace

import pytest

from mtl_sharing.job.phase_settings import main_settings, phase_settings
from mtl_sharing.training.settings import PhaseConfig
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
    """A run with a weightless task, and the same one without that task: blueprints, inputs."""

    def make(*words):
        run_spec, inputs = prepare(*SIZES, *WEIGHTLESS, *words)
        rest = ("loss.weights.quora=3", "loss.weights.sts=2", "suite.tasks=[quora,sts]")
        fewer, _ = prepare(*SIZES, *rest, *words)
        train = {task: inputs.train[task] for task in LEFT}
        return (run_spec, inputs), (fewer, replace(inputs, train=train))

    return make


def draws(schedule):
    return [schedule.sampler.tasks(draw) for draw in range(schedule.steps)]


@pytest.mark.parametrize("words", SAMPLERS, ids=" ".join)
def test_its_turns_are_those_of_a_run_without_it(both, words):
    runs = both(*words, "trainer.max_steps=null", "trainer.epochs=3")
    schedule, expected = (main_settings(*run).schedule for run in runs)
    assert schedule.steps == expected.steps
    assert schedule.epochs.lengths == expected.epochs.lengths
    assert draws(schedule) == draws(expected)
    assert {task for tasks in draws(schedule) for task in tasks} == set(LEFT)


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
        run_spec, inputs = prepare(*SIZES, *course, *words)
        if kind == "ranking":
            inputs = replace(inputs, pairs={"sst": inputs.train["sst"]})
        phase = PhaseConfig(kind, task="sst" if kind == "ranking" else None)
        found.append(draws(phase_settings("own", phase, run_spec, inputs).schedule))
    assert found[0] == found[1]
    assert ("sst",) in found[0]


def test_a_phase_of_the_tasks_leaves_it_out(prepare):
    run_spec, inputs = prepare(*SIZES, *WEIGHTLESS)
    phase = PhaseConfig("tasks", sampler="round_robin")
    sampler = phase_settings("own", phase, run_spec, inputs).schedule.sampler
    assert [sampler.tasks(draw) for draw in range(4)] == [("quora",), ("sts",)] * 2


def test_the_score_is_measured_by_the_tasks_that_train(mtl_train, monkeypatch):
    turns_taken = []

    def record_turns(makers, text, pairs, turns):
        for make_learner in makers:
            learner = make_learner()
            turns_taken.append([learner.sampler.tasks(draw) for draw in range(turns)])

    monkeypatch.setattr("mtl_sharing.job.measurement.time_side_by_side", record_turns)
    words = [word for word in QUICK if "pairs" not in word]
    done = mtl_train(*words, "encoder.layers=1", "sharing.plan=S1", "score.pairs=1",
                     "sampler=proportional", "loss.weights={sst:0,quora:3,sts:2}")  # fmt: skip
    assert done.code == 0, done.err
    assert turns_taken == [[("quora",), ("sts",)]] * 2
