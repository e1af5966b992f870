"""Small runs with and without stored states, over a few texts of odd numbers."""

import logging
from dataclasses import replace
from functools import cache
from itertools import count

import pytest
import torch

from frozen_runs import finish
from mtl_sharing.cache.store import read_entry
from mtl_sharing.job.frozen_states import with_frozen_states
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.phases import make_trainer
from mtl_sharing.model.encoder.initialization import random_tower

# Dropout everywhere, so that runs are equal only if every random draw is. A large epsilon, since
# AdamW makes whole steps of gradients that are nothing but rounding.
WORDS = (
    "encoder.layers=3", "encoder.dropout=0.1", "encoder.attention_dropout=0.1",
    "trainer.max_steps=6", "trainer.batch_size=3", "trainer.eval_every=3",
    "trainer.eval_examples=null", "optimizer.lr=0.01", "optimizer.epsilon=1e-3",
)  # fmt: skip
EXAMPLES = {"train": {"sst": 13, "quora": 11, "sts": 7}, "dev": {"sst": 19, "quora": 17, "sts": 5}}


@pytest.fixture(scope="session")
def texts(describe, tmp_path_factory):
    """A few encoded examples of each task, for both ways of pairing."""

    def few(examples, split):
        return {name: data.sample(EXAMPLES[split][name], 3) for name, data in examples.items()}

    found = {}
    for mode in ("separate", "joined"):
        run_spec = describe("sharing.plan=S1", "encoder.layers=1", f"pairing.mode={mode}")
        read = load_inputs(run_spec, tmp_path_factory.mktemp(mode))
        train, dev = few(read.train, "train"), few(read.dev, "dev")
        found[mode] = replace(read, train=train, dev=dev)
    return found


@pytest.fixture(scope="session")
def specs(describe):
    """Run specs by their words; composing a config takes longer than many a run here."""
    return cache(lambda *words: describe(*WORDS, *words))


@pytest.fixture
def prepare(specs, texts, tmp_path):
    """The run spec and the inputs of a run with a cache in ``tmp_path``, without states.

    Its weights are large enough for a layer to matter, and depend on ``tower`` alone.
    """

    def make(*words, tower=5):
        run_spec = specs(*words)
        config = run_spec.config
        settings = replace(config.cache, folder=str(tmp_path / "cache"))
        run_spec = replace(run_spec, config=replace(config, cache=settings))
        weights = random_tower(run_spec.shape, tower, 0.3)
        return run_spec, replace(texts[config.pairing.mode], tower=weights)

    return make


@pytest.fixture
def train_on(tmp_path):
    """Trains on inputs as it is."""
    numbers = count()

    def run(run_spec, inputs, meanwhile=None):
        folder = tmp_path / f"run{next(numbers)}"
        folder.mkdir()
        torch.manual_seed(run_spec.config.seed)
        return finish(make_trainer(run_spec, inputs, folder), inputs, meanwhile)

    return run


@pytest.fixture
def train(prepare, train_on):
    """Trains as the main job does; ``meanwhile`` is called with the step before each."""

    def run(*words, tower=5, meanwhile=None):
        run_spec, inputs = prepare(*words, tower=tower)
        return train_on(run_spec, with_frozen_states(run_spec, inputs), meanwhile)

    return run


@pytest.fixture
def entries(tmp_path):
    """The ``about`` of each list of states in the cache, by its folder."""

    def read():
        folders = sorted((tmp_path / "cache").glob("states-*"))
        return {folder: read_entry(folder).about for folder in folders}

    return read


@pytest.fixture(autouse=True)
def _say(caplog):
    caplog.set_level(logging.INFO)
