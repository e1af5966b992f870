"""With a part of train held out, every choice of the training looks at it and none at dev."""

import csv
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from mtl_sharing.errors import Stopped
from mtl_sharing.evaluation.evaluate import evaluate
from mtl_sharing.job.frozen_states import with_frozen_states
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.phases import make_trainer
from mtl_sharing.plotting.run_curves import CurveFacts, panel_lines
from mtl_sharing.plotting.training_curves import read_curves

HELD = "suite.select_fraction=0.25"
SETTINGS = ("trainer.eval_examples=null", "encoder.layers=2", "encoder.dropout=0.1",
            "sharing.plan=S1-I1", "optimizer.lr=0.01", "trainer.max_steps=8",
            "trainer.eval_every=1", "suite.max_dev_rows=10")  # fmt: skip


@pytest.fixture
def read(describe, tmp_path):
    """The spec and the inputs of a run, read anew, and its folder."""

    def make(*settings, phases=(), folder="run"):
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        run_spec = describe(*SETTINGS, *settings, phases=phases)
        return run_spec, load_inputs(run_spec, path), path

    return make


def trainer_of(run_spec, inputs, folder):
    torch.manual_seed(run_spec.config.seed)
    return make_trainer(run_spec, inputs, folder)


def poisoned(split):
    """The examples with labels that belong to others."""
    random = np.random.default_rng(29)
    return {
        name: replace(data, labels=random.permutation(data.labels)) for name, data in split.items()
    }


def train(trainer):
    """Rows without times, and the weights that the training leaves."""
    trainer.run()
    rows = [{k: v for k, v in row.items() if k != "train_s"} for row in trainer.history]
    return rows, {name: w.clone() for name, w in trainer.network.state_dict().items()}


def same(one, other):
    """Whether two outcomes have the same rows and the same weights."""
    rows, weights = one[0] == other[0], other[1]
    return rows, all(torch.equal(weight, weights[name]) for name, weight in one[1].items())


def texts_in(data):
    """Every sequence of a split's part, as its tokens."""
    parts = [data.first] if data.second is None else [data.first, data.second]
    return {
        tuple(part.tokens[start:end].tolist())
        for part in parts
        for start, end in zip(part.offsets[:-1], part.offsets[1:], strict=True)
    }


def test_weights_and_patience_are_chosen_without_dev(read):
    run_spec, inputs, folder = read(HELD, "trainer.patience=2", "trainer.max_steps=15")
    plain = train(trainer_of(run_spec, inputs, folder))
    assert 3 <= len(plain[0]) < 15  # patience has ended it
    wrong = replace(inputs, dev=poisoned(inputs.dev))
    assert same(plain, train(trainer_of(run_spec, wrong, folder))) == (True, True)
    # The test would see a look at dev: the same change to what is held out changes the choice.
    wrong = replace(inputs, select=poisoned(inputs.select))
    rows, _ = same(plain, train(trainer_of(run_spec, wrong, folder)))
    assert not rows


def test_without_a_fraction_dev_chooses(read):
    run_spec, inputs, folder = read()
    assert inputs.select == {}
    plain = train(trainer_of(run_spec, inputs, folder))
    wrong = replace(inputs, dev=poisoned(inputs.dev))
    rows, _ = same(plain, train(trainer_of(run_spec, wrong, folder)))
    assert not rows


def test_the_best_weights_are_the_best_on_what_is_held_out(read):
    run_spec, inputs, folder = read(HELD)
    trainer = trainer_of(run_spec, inputs, folder)
    rows, _ = train(trainer)
    found = evaluate(trainer.network, inputs.select, trainer.measures, trainer.runtime, "select")
    best = max(rows, key=lambda row: row["performance"])
    assert (
        found.performance
        == pytest.approx(best["performance"], abs=1e-9)
        == trainer.selections[0].best
    )
    for name, task in found.tasks.items():
        assert best[f"select/{name}/loss"] == pytest.approx(task["loss"])
        assert task["examples"] == 10


def test_what_is_held_out_trains_nothing(read):
    """Not the tasks, not masked-LM, not the ranking, not the tokenizer."""
    settings = ("suite.max_train_rows=200", "encoder.vocabulary=900")
    _, whole, _ = read(*settings, phases=["mlm", "ranking"], folder="whole")
    _, cut, _ = read(*settings, HELD, phases=["mlm", "ranking"], folder="cut")
    assert set(cut.select) == {"sst", "quora", "sts"}
    for name, data in cut.select.items():
        assert (len(cut.train[name]), len(data), len(whole.train[name])) == (150, 50, 200)
        assert texts_in(data).isdisjoint(texts_in(cut.train[name]))
        assert cut.facts[name]["train_examples"] == 150
        assert cut.facts[name]["select_examples"] == 50
        assert whole.facts[name]["select_examples"] == 0
    ranked, held = texts_in(cut.pairs["quora"]), texts_in(cut.select["quora"])
    assert ranked and ranked.isdisjoint(held)
    assert len(cut.pairs["quora"]) < len(whole.pairs["quora"])


def test_seed_sampler_regime_and_cleaning_hold_out_the_same(read):
    def labels(*settings):
        _, inputs, _ = read(HELD, *settings, folder=str(len(settings)))
        return {name: data.labels.tolist() for name, data in inputs.select.items()}

    first = labels()
    assert first == labels(
        "seed=7", "sampler.name=temperature", "sharing.plan=I2", "pairing.mode=separate"
    )
    assert first == labels("suite.clean=[letters,lower]")


def test_columns_and_log_name_the_split(read, caplog):
    caplog.set_level("INFO")
    trainer = trainer_of(*read(HELD))
    trainer.run()
    with (trainer.folder / "metrics.csv").open() as file:
        (*_, last) = rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert {"select/sst/accuracy", "select/sts/pearson", "select/quora/loss"} <= set(last)
    assert not [name for name in last if name.startswith("dev/")]
    lines = [r.message for r in caplog.records if r.message.startswith("step")]
    assert len(lines) == 8 and all("  select sst " in m and "dev" not in m for m in lines)
    curves = read_curves(trainer.history)
    panels = ["metrics on select", "classification loss", "regression loss"]
    assert list(panel_lines(curves, CurveFacts())) == panels
    assert set(curves.metrics) == {"sst", "quora", "sts"}


def test_the_sample_while_training_is_one_of_what_is_held_out(read):
    run_spec, inputs, folder = read(HELD, "trainer.eval_examples=7")
    trainer = trainer_of(run_spec, inputs, folder)
    assert {len(data) for data in trainer.eval_data.values()} == {7}
    for name, data in trainer.eval_data.items():
        assert texts_in(data) <= texts_in(inputs.select[name])


def test_a_stopped_run_goes_on_with_the_same_examples(read):
    settings = (HELD, "trainer.patience=6", "trainer.eval_examples=7")
    whole = train(trainer_of(*read(*settings, folder="whole")))
    trainer = trainer_of(*read(*settings))
    for step in (1, 5):

        def stop(*_, step=step, halted=trainer):
            if halted.done == step:
                halted.signals.receive(signal.SIGTERM)

        trainer.on_evaluation = stop
        with pytest.raises(Stopped):
            trainer.run()
        trainer = trainer_of(*read(*settings))  # reads and cuts anew
        assert trainer.restore() and trainer.done == step
    assert same(whole, train(trainer)) == (True, True)


def test_states_of_frozen_layers_serve_what_is_held_out(read, tmp_path):
    """The same metrics with and without them, and no entry in common with the uncut train."""
    cache = (f"cache.folder={tmp_path / 'cache'}", "sharing.plan=F1-I1", "trainer.max_steps=4")

    def inputs_of(*settings, folder):
        run_spec, inputs, path = read(*cache, *settings, folder=folder)
        return run_spec, with_frozen_states(run_spec, inputs), path

    def entries():
        return {path.name for path in (tmp_path / "cache").glob("states-*")}

    run_spec, inputs, path = inputs_of(HELD, folder="cut")
    rows, _ = train(trainer_of(run_spec, inputs, path))
    for data in inputs.select.values():
        assert data.collate([0]).text.states is not None
    plain, _ = train(trainer_of(*inputs_of(HELD, "cache.prefix=false", folder="plain")))
    assert len(rows) == len(plain) == 4
    for row, expected in zip(rows, plain, strict=True):
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-3)
    cut = entries()
    inputs_of(folder="whole")
    # As many lists of texts as before, and each anew.
    assert len(entries()) == 2 * len(cut) > 0
    assert not [data for data in inputs.dev.values() if data.collate([0]).text.states is not None]
