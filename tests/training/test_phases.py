"""Trainings before and after the main one."""

import csv
import logging
from dataclasses import fields, replace

import pytest
import torch

from mtl_sharing.errors import UserError
from mtl_sharing.job.validation import check_settings
from mtl_sharing.run_folder.results import MAIN
from mtl_sharing.training.settings import PHASE_KINDS, PhaseConfig
from mtl_sharing.utils.progress import Progress

ALL = ("mlm", "ranking", "heads_first", "single_after")
STEPS = ("phases.mlm.steps=4", "phases.ranking.steps=3", "phases.heads_first.steps=3",
         "phases.single_after.steps=3", "trainer.max_steps=4", "trainer.eval_every=2")  # fmt: skip
SETTINGS = ("encoder.layers=3", "encoder.dropout=0.1", "sharing.plan=S1-I2", "optimizer.lr=1e-3",
            "trainer.eval_examples=7")  # fmt: skip


@pytest.fixture
def start(start):
    """A trainer of three layers."""
    return lambda *settings, **options: start(*SETTINGS, *settings, **options)


def weights(trainer):
    return {name: w.clone() for name, w in trainer.network.state_dict().items()}


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def rows_of(trainer):
    """The history without times."""
    return [{k: v for k, v in row.items() if k != "train_s"} for row in trainer.history]


def test_phases_stand_before_and_after_the_main_one_in_their_order(start):
    trainer = start(*STEPS, phases=ALL)
    names = ["mlm", "ranking", "heads_first", MAIN, "single_after"]
    assert [phase.name for phase in trainer.phases] == names
    assert [phase.total for phase in trainer.phases] == [4, 3, 3, 4, 3]
    assert [phase.evaluated for phase in trainer.phases] == [False, False, False, True, True]
    trainer.run()
    assert trainer.total == trainer.done == 17
    with (trainer.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(dict.fromkeys(row["phase"] for row in rows)) == names
    assert all(bool(row["performance"]) == (row["phase"] in names[3:]) for row in rows)
    assert {row["phase"] for row in rows if row["train/mlm.sst/loss"]} == {"mlm"}
    assert list(trainer.timing.phases_s) == names and min(trainer.timing.phases_s.values()) > 0
    assert trainer.timing.train_s == pytest.approx(sum(trainer.timing.phases_s.values()))


@pytest.mark.parametrize(("every", "expected"), [(2, [2, 4, 5, 7, 8]), ("null", range(1, 9))])
def test_a_phase_is_looked_at_as_often_as_the_main_training(start, every, expected):
    trainer = start("trainer.max_steps=5", "phases.single_after.steps=3",
                    f"trainer.eval_every={every}", phases=["single_after"])  # fmt: skip
    seen = []
    trainer.on_evaluation = lambda share, _: seen.append(share * trainer.total)
    trainer.run()
    assert seen == [row["step"] for row in trainer.history] == list(expected)


def test_the_encoder_stays_as_it_is_while_the_heads_are_trained(start):
    trainer = start(*STEPS[2:3], "trainer.max_steps=0", phases=["heads_first"])
    before = weights(trainer)
    trainer.run()
    found = changed(before, weights(trainer))
    assert found and not [name for name in found if name.startswith("encoder.")]
    assert trainer.learner.network.training is False  # evaluated last
    assert all(w.requires_grad for w in trainer.network.parameters())


def test_the_frozen_encoder_drops_nothing(start):
    """Heads alone over an encoder with dropout 0.9 see the same states as without."""
    losses = []
    for rate in (0.0, 0.9):
        trainer = start(f"encoder.dropout={rate}", "head.dropout=0", "encoder.attention_dropout=0",
                        phases=["heads_first"], folder=f"rate{rate}")  # fmt: skip
        losses.append(trainer.learner.update(0, 5).losses)
    assert losses[0] == losses[1]


def test_stages_that_the_plan_freezes_stay_frozen_in_every_phase(start):
    trainer = start(*STEPS, "sharing.plan=F1-S2", phases=ALL)
    before = weights(trainer)
    trainer.run()
    found = changed(before, weights(trainer))
    assert found and not [
        n for n in found if n.startswith(("encoder.embeddings", "encoder.layers.0"))
    ]
    assert any(name.startswith("encoder.layers.2") for name in found)


@pytest.mark.parametrize("name", ["mlm", "ranking"])
def test_pretraining_learns_what_it_is_asked_and_leaves_the_heads(start, name):
    trainer = start(f"phases.{name}.steps=40", f"phases.{name}.lr=1e-2", "encoder.dropout=0",
                    "trainer.max_steps=0", phases=[name])  # fmt: skip
    before = weights(trainer)
    first = [trainer.learner.update(0, 40).losses]
    trainer.step = 1
    trainer.run()
    *_, last = [row for row in trainer.history if row["phase"] == name]
    for task, loss in first[0].items():
        assert last[f"train/{name}.{task}/loss"] < 0.97 * loss
    assert not [n for n in changed(before, weights(trainer)) if n.startswith("heads.")]


def test_a_run_stopped_in_every_phase_ends_as_the_uninterrupted_one(start, stop_at):
    """Stopped within phases and after the last step of one, and resumed each time."""
    whole = start(*STEPS, phases=ALL, folder="whole")
    whole.run()
    trainer = start(*STEPS, phases=ALL)
    for step in (2, 4, 6, 9, 12, 15):
        stop_at(trainer, step)
        trainer = start(*STEPS, phases=ALL)
        assert trainer.restore() and trainer.done == step
    trainer.run()
    assert changed(weights(whole), weights(trainer)) == set()
    assert rows_of(trainer) == rows_of(whole)


# With a rate of 0 no evaluation is better than the first, so that the main training ends after 3.
IMPATIENT = ("phases.heads_first.steps=2", "phases.single_after.steps=4", "trainer.max_steps=30",
             "trainer.eval_every=1", "phases.heads_first.lr=0", "optimizer.lr=0",
             "trainer.patience=2")  # fmt: skip
BOTH = ("heads_first", "single_after")


@pytest.fixture
def shown(monkeypatch):
    """Each step's number and the total, as the progress bar shows them."""
    shown = []

    def advance(self, count, detail, total):
        self.done += count
        shown.append((self.done, total))

    monkeypatch.setattr(Progress, "advance", advance)
    return shown


def test_steps_are_counted_on_where_the_main_training_ends_early(start, shown, caplog):
    caplog.set_level(logging.INFO)
    trainer = start(*IMPATIENT, phases=BOTH)
    assert (trainer.done, trainer.total) == (0, 2 + 30 + 4)
    trainer.run()
    assert shown == [(n, 36) for n in range(1, 6)] + [(n, 9) for n in range(6, 10)]
    assert (trainer.done, trainer.total) == (9, 9)
    assert [row["step"] for row in trainer.history] == list(range(1, 10))
    assert "main ends after 3 of 30 steps: no better for 2 evaluations" in caplog.messages
    assert [line.split("  ")[0] for line in caplog.messages if line.startswith("step")] == [
        f"step {step} of {36 if step < 6 else 9}" for step in range(1, 10)
    ]


def test_they_are_counted_on_after_a_stop(start, stop_at, shown):
    trainer = start(*IMPATIENT, phases=BOTH)
    for step in (1, 5, 7):
        stop_at(trainer, step)
        trainer = start(*IMPATIENT, phases=BOTH)
        assert trainer.restore() and trainer.done == step
    trainer.run()
    assert shown == [(n, 36) for n in range(1, 6)] + [(n, 9) for n in range(6, 10)]
    assert [row["step"] for row in trainer.history] == list(range(1, 10))


def test_a_later_phase_starts_from_the_best_weights(start):
    trainer = start(*STEPS[3:], phases=["single_after"])
    best, begun = {}, {}
    main, after = trainer.phases

    def make_learner():
        begun.update(weights(trainer))
        return after.make_learner()

    def keep_best(share, evaluation):
        if trainer.phase == main and evaluation.performance == trainer.selections[0].best:
            best.update(weights(trainer))

    trainer.phases = [main, replace(after, make_learner=make_learner)]
    trainer.on_evaluation = keep_best
    trainer.run()
    assert begun and changed(begun, best) == set()


@pytest.mark.parametrize("words", [("phases.single_after.steps=12", "trainer.max_steps=1"),
                                   ("trainer.max_steps=12",)], ids=" ".join)  # fmt: skip
def test_single_tasks_come_one_after_the_other(start, words):
    """Also in a phase that is cut short with the run: it has fewer batches of each task."""
    trainer = start(*words, phases=["single_after"])
    trainer.next_phase()
    assert trainer.phase.total == 12
    sampler = trainer.learner.sampler
    drawn = [task for step in range(12) for task in sampler.tasks(step)]
    assert list(dict.fromkeys(drawn)) == ["sst", "quora", "sts"] and len(drawn) == 12
    assert drawn == sorted(drawn, key=["sst", "quora", "sts"].index)


def test_phases_without_steps_of_their_own_are_no_longer_than_the_run(start):
    trainer = start("trainer.max_steps=2", phases=["mlm", "single_after"])
    assert [phase.total for phase in trainer.phases] == [2, 2, 2]
    trainer = start("trainer.epochs=1", "trainer.max_steps=null", phases=["mlm"], folder="whole")
    assert trainer.phases[0].total == trainer.phases[1].total > 2


def test_a_phase_has_data_in_an_order_of_its_own(start):
    trainer = start("trainer.max_steps=2", phases=["single_after"])
    main = trainer.learner.batches["sst"][0].text.tokens.tolist()
    trainer.next_phase()
    assert trainer.learner.batches["sst"][0].text.tokens.tolist() != main


@pytest.mark.parametrize(
    ("words", "where", "found"),
    [
        (["mlm", "sharing.plan=F3"], "phases.mlm.kind", "encoder is frozen"),
        (["ranking", "sharing.plan=F3"], "phases.ranking.kind", "encoder is frozen"),
        (
            ["heads_first", "suite.tasks=[sts]", "head.regression=scaled_cosine"],
            "phases.heads_first.frozen",
            "no head has weights",
        ),
        (["mlm", "phases.mlm.kind=mlm"], "phases.mlm.kind", "mlm"),
        (["mlm", "phases.mlm.when=during"], "phases.mlm.when", "during"),
        (["mlm", "phases.mlm.rate=0"], "phases.mlm.rate", "0"),
        (["mlm", "phases.mlm.steps=0"], "phases.mlm.steps", "0"),
        (["mlm", "phases.mlm.lr=-1"], "phases.mlm.lr", "-1"),
        (["mlm", "phases.mlm.sampler=robin"], "phases.mlm.sampler", "round_robin"),
        (["ranking", "phases.ranking.task=qora"], "phases.ranking.task", "quora"),
        (["ranking", "phases.ranking.task=sst"], "phases.ranking.task", "single texts"),
        (["ranking", "phases.ranking.similarity=dots"], "phases.ranking.similarity", "dot"),
        (["ranking", "phases.ranking.scale=0"], "phases.ranking.scale", "0"),
        (
            ["mlm", "phases.mlm.frozen=true"],
            "phases.mlm.frozen",
            "True in a phase of kind masked_lm; allowed: false, or a phase of kind tasks",
        ),
        (
            ["ranking", "phases.ranking.sampler=sequential"],
            "phases.ranking.sampler",
            "allowed: null, or a phase of kind tasks, masked_lm",
        ),
    ],
)
def test_bad_phases_are_named(start, words, where, found):
    phase, *settings = words
    with pytest.raises(UserError) as caught:
        start(*settings, phases=[phase])
    assert caught.value.where == where and found in str(caught.value)


# A value of each setting that differs from its default, and the kinds of phase that read it.
SETTINGS_OF_PHASES = {
    "when": ("after", PHASE_KINDS), "steps": (3, PHASE_KINDS), "epochs": (2.0, PHASE_KINDS),
    "lr": (0.1, PHASE_KINDS), "batch_size": (3, PHASE_KINDS),
    "sampler": ("round_robin", ("tasks", "masked_lm")), "frozen": (True, ("tasks",)),
    "rate": (0.3, ("masked_lm",)), "whole_word": (True, ("masked_lm",)),
    "second": (True, ("masked_lm",)), "task": ("sts", ("ranking",)),
    "similarity": ("cosine", ("ranking",)), "scale": (2.0, ("ranking",)),
}  # fmt: skip


def test_every_setting_of_a_phase_is_known_here():
    assert {"kind", *SETTINGS_OF_PHASES} == {field.name for field in fields(PhaseConfig)}


@pytest.mark.parametrize("kind", PHASE_KINDS)
@pytest.mark.parametrize("key", SETTINGS_OF_PHASES)
def test_a_setting_without_effect_is_refused(describe, key, kind):
    value, kinds = SETTINGS_OF_PHASES[key]
    task = {"task": "quora"} if kind == "ranking" else {}
    run_spec = describe()
    run_spec.config.phases = {"own": PhaseConfig(kind, **task | {key: value})}
    if kind in kinds:
        check_settings(run_spec.config, run_spec.specs)
        return
    with pytest.raises(UserError) as caught:
        check_settings(run_spec.config, run_spec.specs)
    assert caught.value.where == f"phases.own.{key}"
    assert kind in str(caught.value.found) and all(name in caught.value.allowed for name in kinds)
