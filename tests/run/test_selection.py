"""With a part of train held out, every choice of the training looks at it and none at dev."""

import csv
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from mtl_sharing.blueprint import make_blueprint
from mtl_sharing.errors import Stopped
from mtl_sharing.frozen_states import with_frozen_states
from mtl_sharing.material import read_material
from mtl_sharing.run.curves import PANELS, read_curves
from mtl_sharing.run.evaluate import evaluate
from mtl_sharing.schedule import make_trainer
from support import QUICK, load_config

HELD = "suite.select_fraction=0.25"
WORDS = (*QUICK, "trainer.precision=fp32", "trainer.eval_examples=null", "encoder.layers=2",
         "encoder.dropout=0.1", "sharing.plan=S1-I1", "optimizer.lr=0.01", "trainer.max_steps=12",
         "trainer.eval_every=1")  # fmt: skip


@pytest.fixture
def read(tmp_path):
    """The blueprint and the material of a run, and its folder."""

    def make(*words, folder="run"):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        blueprint = make_blueprint(load_config(*WORDS, *words))
        return blueprint, read_material(blueprint, place), place

    return make


def trainer_of(blueprint, material, place):
    torch.manual_seed(blueprint.config.seed)
    return make_trainer(blueprint, material, place)


def poisoned(split):
    """The examples with labels that belong to others."""
    random = np.random.default_rng(29)
    return {
        name: replace(data, labels=random.permutation(data.labels)) for name, data in split.items()
    }


def outcome(trainer):
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
    blueprint, material, place = read(HELD, "trainer.patience=2", "trainer.max_steps=30")
    plain = outcome(trainer_of(blueprint, material, place))
    assert 3 <= len(plain[0]) < 30  # patience has ended it
    wrong = replace(material, dev=poisoned(material.dev))
    assert same(plain, outcome(trainer_of(blueprint, wrong, place))) == (True, True)
    # The test would see a look at dev: the same change to what is held out changes the choice.
    wrong = replace(material, select=poisoned(material.select))
    rows, _ = same(plain, outcome(trainer_of(blueprint, wrong, place)))
    assert not rows


def test_without_a_fraction_dev_chooses(read):
    blueprint, material, place = read()
    assert material.select == {}
    plain = outcome(trainer_of(blueprint, material, place))
    wrong = replace(material, dev=poisoned(material.dev))
    rows, _ = same(plain, outcome(trainer_of(blueprint, wrong, place)))
    assert not rows


def test_the_best_weights_are_the_best_on_what_is_held_out(read):
    blueprint, material, place = read(HELD)
    trainer = trainer_of(blueprint, material, place)
    rows, _ = outcome(trainer)
    found = evaluate(trainer.network, material.select, trainer.measures, trainer.runtime, "select")
    best = max(rows, key=lambda row: row["performance"])
    assert found.performance == pytest.approx(best["performance"], abs=1e-9) == trainer.best
    for name, task in found.tasks.items():
        assert best[f"select/{name}/loss"] == pytest.approx(task["loss"])
        assert task["examples"] == 10


def test_what_is_held_out_trains_nothing(read):
    """Not the tasks, not masked-LM, not the ranking, not the tokenizer."""
    words = ("phases=[mlm,ranking]", "suite.max_train_rows=200", "encoder.vocabulary=900")
    _, whole, _ = read(*words, folder="whole")
    _, cut, _ = read(*words, HELD, folder="cut")
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
    def labels(*words):
        _, material, _ = read(HELD, *words, folder=str(len(words)))
        return {name: data.labels.tolist() for name, data in material.select.items()}

    first = labels()
    assert first == labels("seed=7", "sampler=proportional", "sharing.plan=I2", "pairing=separate")
    assert first == labels("suite.clean=[letters,lower]")


def test_columns_and_log_name_the_split(read, caplog):
    caplog.set_level("INFO")
    trainer = trainer_of(*read(HELD))
    trainer.run()
    with (trainer.folder / "metrics.csv").open() as file:
        (*_, last) = rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {"select/sst/accuracy", "select/sts/pearson", "select/quora/loss"} <= set(last)
    assert not [name for name in last if name.startswith("dev/")]
    said = [r.message for r in caplog.records if r.message.startswith("step")]
    assert len(said) == 12 and all("  select sst " in m and "dev" not in m for m in said)
    found = read_curves(trainer.history)
    assert [found.title(panel) for panel in PANELS] == ["training loss", "select loss", "select"]
    assert set(found.metrics) == {"sst", "quora", "sts"}


def test_the_sample_while_training_is_one_of_what_is_held_out(read):
    blueprint, material, place = read(HELD, "trainer.eval_examples=7")
    trainer = trainer_of(blueprint, material, place)
    assert {len(data) for data in trainer.watched.values()} == {7}
    for name, data in trainer.watched.items():
        assert texts_in(data) <= texts_in(material.select[name])


@pytest.mark.parametrize("stop", [1, 7])
def test_a_stopped_run_goes_on_with_the_same_examples(read, stop):
    words = (HELD, "trainer.patience=6", "trainer.eval_examples=7")
    whole = outcome(trainer_of(*read(*words, folder="whole")))
    halted = trainer_of(*read(*words))

    def halt(*_):
        halted._stop = signal.SIGTERM if halted.done == stop else None

    halted.on_evaluation = halt
    with pytest.raises(Stopped):
        halted.run()
    resumed = trainer_of(*read(*words))  # reads and cuts anew
    assert resumed.restore() and resumed.done == stop
    assert same(whole, outcome(resumed)) == (True, True)


def test_states_of_frozen_layers_serve_what_is_held_out(read, tmp_path):
    """The same figures with and without them, and no entry in common with the uncut train."""

    def run(*words, folder):
        blueprint, material, place = read("sharing.plan=F1-I1", *words, folder=folder)
        material = with_frozen_states(blueprint, material)
        return outcome(trainer_of(blueprint, material, place)), material

    def entries():
        return {path.name for path in (tmp_path / "cache").glob("states-*")}

    cache = f"cache.folder={tmp_path / 'cache'}"
    (rows, _), material = run(cache, HELD, folder="cut")
    for data in material.select.values():
        assert data.collate([0]).text.states is not None
    (plain, _), _ = run("cache.prefix=false", HELD, folder="plain")
    assert len(rows) == len(plain) == 12
    for ours, theirs in zip(rows, plain, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)
    cut = entries()
    run(cache, folder="whole")
    # As many lists of texts as before, and each anew.
    assert len(entries()) == 2 * len(cut) > 0
    assert not [data for data in material.dev.values() if data.collate([0]).text.states is not None]
