"""Quick runs for tests of training: blueprints of any words, over one encoded text."""

from dataclasses import replace

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from mtl_sharing.config import register, to_config
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.learners import make_learner
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.model.encoder.initialization import random_tower
from support import QUICK

WORDS = (*QUICK, "trainer.precision=fp32", "trainer.device=cpu", "trainer.eval_examples=20")


@pytest.fixture(scope="session")
def describe():
    """The run_spec of a quick run with the given words."""
    register()
    with initialize_config_module("mtl_sharing.conf"):
        base = compose("train", overrides=list(WORDS))
    return lambda *words: resolve_spec(
        to_config(OmegaConf.merge(base, OmegaConf.from_dotlist(list(words))))
    )


@pytest.fixture(scope="session")
def text(describe, tmp_path_factory):
    """Encoded text, which is the same for every plan."""
    run_spec = describe("sharing.plan=S1", "encoder.layers=1")
    return load_inputs(run_spec, tmp_path_factory.mktemp("text"))


@pytest.fixture
def prepare(describe, text):
    """The run_spec and the inputs of a run, with the tower that its config describes."""

    def make(*words):
        run_spec = describe(*words)
        tower = random_tower(run_spec.shape, run_spec.config.seed)
        return run_spec, replace(text, tower=tower)

    return make


@pytest.fixture
def fresh_learner(prepare):
    """A learner of a run with the given words, at its start."""

    def make(*words):
        run_spec, inputs = prepare(*words)
        return make_learner(run_spec, inputs, run_spec.architecture)

    return make
