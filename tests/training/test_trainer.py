"""The trainer: evaluations, patience, best weights, checkpoints, stopping and resuming."""

import csv
import logging

import pytest
import torch
from safetensors.torch import load_file

from mtl_sharing.errors import UserError
from mtl_sharing.evaluation.evaluate import evaluate
from mtl_sharing.run_folder.layout import CHECKPOINT_STATE, METRICS, WEIGHTS
from mtl_sharing.training.selection import Selection

SMALL = ("encoder.layers=1", "sharing.plan=S1", "trainer.eval_examples=5", "optimizer.lr=0.01")


@pytest.fixture
def start(start):
    """A trainer of one layer."""
    return lambda *settings, **options: start(*SMALL, *settings, **options)


def weights(trainer):
    return {name: w.clone() for name, w in trainer.network.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(w, other[n]) for n, w in one.items())


def rows_of(trainer):
    """The history without times."""
    return [{k: v for k, v in row.items() if k != "train_s"} for row in trainer.history]


def test_evaluations_come_at_their_steps_and_after_the_last(start):
    trainer = start("trainer.max_steps=7", "trainer.eval_every=3")
    events = []

    def on_row(row):
        state = torch.load(trainer.folder / CHECKPOINT_STATE, weights_only=True)
        assert state["history"][-1] == row  # before anyone else has it
        events.append(("row", row["step"]))

    trainer.on_row = on_row
    trainer.on_evaluation = lambda share, found: events.append(("evaluation", share))
    trainer.run()
    shares = {3: 3 / 7, 6: 6 / 7, 7: 1}
    assert events == [e for s, share in shares.items() for e in (("row", s), ("evaluation", share))]
    with (trainer.folder / METRICS).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["3", "6", "7"]
    columns = {"performance", "performance_raw_r", "train_s", "dev/sst/accuracy", "dev/sts/pearson",
               "dev/quora/loss", "train/sst/loss"}  # fmt: skip
    assert columns <= set(rows[0]) and "phase" not in rows[0]
    assert float(rows[-1]["performance"]) == trainer.history[-1]["performance"]


def test_a_training_of_no_steps_evaluates_once(start):
    trainer = start("trainer.max_steps=0")
    before = weights(trainer)
    trainer.run()
    assert [row["step"] for row in trainer.history] == [0]
    assert same(before, weights(trainer)) and same(before, load_file(trainer.folder / WEIGHTS))


def test_patience_ends_the_training_with_the_best_weights(start, scripted, caplog):
    caplog.set_level(logging.INFO)
    # Equal is not better.
    scripted(0.1, 0.3, 0.2, 0.3, 0.9)
    trainer = start("trainer.max_steps=10", "trainer.eval_every=2", "trainer.patience=2")
    seen = []
    trainer.on_evaluation = lambda *_: seen.append(weights(trainer))
    trainer.run()
    assert [row["performance"] for row in trainer.history] == pytest.approx([0.1, 0.3, 0.2, 0.3])
    (selection,) = trainer.selections
    assert selection == Selection(("sst", "quora", "sts"), pytest.approx(0.3), 4, 2)
    assert trainer.done == 8
    assert same(weights(trainer), seen[1]) and not same(seen[1], seen[2])
    assert "main ends after 8 of 10 steps: no better for 2 evaluations" in caplog.messages


def test_an_improvement_restarts_patience(start, scripted):
    scripted(0.3, 0.2, 0.4, 0.1, 0.5)
    trainer = start("trainer.max_steps=5", "trainer.eval_every=1", "trainer.patience=2")
    trainer.run()
    (selection,) = trainer.selections
    assert (selection.best, selection.step, selection.stale) == (pytest.approx(0.5), 5, 0)
    assert trainer.done == 5


def test_the_network_holds_the_best_weights_at_the_end(start):
    trainer = start("trainer.max_steps=6", "trainer.eval_every=1")
    trainer.run()
    found = evaluate(trainer.network, trainer.eval_data, trainer.measures, trainer.runtime)
    best = max(row["performance"] for row in trainer.history)
    assert found.performance == trainer.selections[0].best == best
    assert same(weights(trainer), load_file(trainer.folder / WEIGHTS))


RANDOM = ("encoder.dropout=0.2", "sampler.name=temperature", "trainer.accumulation=2",
          "loss.weighting=uncertainty", "trainer.max_steps=6", "trainer.eval_every=2")  # fmt: skip


def test_a_stopped_training_ends_as_the_uninterrupted_one_bit_for_bit(start, stop_at):
    whole = start(*RANDOM, folder="whole")
    whole.run()
    trainer = start(*RANDOM)
    # At an evaluation, and between two.
    for step in (2, 3, 5):
        stop_at(trainer, step)
        trainer = start(*RANDOM)
        assert trainer.restore() and trainer.done == step
    trainer.run()
    assert rows_of(trainer) == rows_of(whole)
    assert same(weights(trainer), weights(whole))
    ours, theirs = (
        torch.load(one.folder / CHECKPOINT_STATE, weights_only=True) for one in (trainer, whole)
    )
    assert ours.pop("selections") == theirs.pop("selections")
    for state in (ours, theirs):
        state.pop("timing")
        for component in state["learner"]["components"]:
            component.pop("tasks")
        for row in state["history"]:
            row.pop("train_s")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_the_checkpoint_keeps_its_format(start):
    """Its keys, by which older checkpoints are read."""
    trainer = start("trainer.max_steps=1")
    trainer.run()
    state = torch.load(trainer.folder / CHECKPOINT_STATE, weights_only=True)
    assert set(state) == {"phase", "step", "past", "selections", "timing", "history", "running",
                          "learner", "run"}  # fmt: skip
    assert set(state["timing"]) == {"phases_s", "counted_s", "counted_steps", "counted_examples"}
    assert set(state["running"]) == {"losses", "tie", "cosines"}
    assert set(state["selections"][0]) == {"tasks", "best", "step", "stale"}
    assert set(state["learner"]) == {"served", "network", "components", "regularizer"}
    (component,) = state["learner"]["components"]
    assert set(component) == {"tasks", "optimizer", "weighting", "surgery"}


def test_a_folder_without_checkpoint_restores_nothing(start):
    trainer = start("trainer.max_steps=1")
    assert not trainer.restore() and trainer.done == 0


def test_a_run_that_has_lost_its_checkpoints_says_that_it_begins_again(start, caplog):
    trainer = start("trainer.max_steps=1")
    trainer.run()
    for path in (trainer.folder / "checkpoint").iterdir():
        path.unlink()
    caplog.clear()
    assert not trainer.restore()
    assert "no checkpoint is left: the training begins again at its first step" in caplog.text


def test_checkpoints_that_do_not_fit_are_named(start):
    trainer = start("trainer.max_steps=1")
    trainer.run()
    with pytest.raises(UserError, match="the checkpoint of this run"):
        start("encoder.layers=2", "sharing.plan=S2").restore()
    path = trainer.folder / CHECKPOINT_STATE
    path.write_bytes(path.read_bytes()[:-99])
    with pytest.raises(UserError, match="a damaged file"):
        start().restore()


def test_only_steps_of_the_main_phase_after_the_first_ten_are_timed(start):
    trainer = start("trainer.max_steps=13", "trainer.eval_every=13", "phases.mlm.steps=11",
                    phases=["mlm"])  # fmt: skip
    trainer.run()
    timing = trainer.timing
    assert list(timing.phases_s) == ["mlm", "main"]
    assert (timing.counted_steps, timing.counted_examples) == (3, 3 * 3 * 4)
    assert 0 < timing.counted_s < timing.phases_s["main"]
    assert timing.train_s == sum(timing.phases_s.values())
    assert timing.step_s == timing.counted_s / 3
