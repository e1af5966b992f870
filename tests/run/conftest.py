"""Quick runs for tests of training: blueprints of any words, over one encoded text."""

from dataclasses import replace

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from mtl_sharing.blueprint import make_blueprint
from mtl_sharing.build import make_learner
from mtl_sharing.config import register, to_config
from mtl_sharing.material import read_material
from mtl_sharing.model.checkpoint import random_tower
from support import QUICK

WORDS = (*QUICK, "trainer.precision=fp32", "trainer.device=cpu", "trainer.eval_examples=20")


@pytest.fixture(scope="session")
def describe():
    """The blueprint of a quick run with the given words."""
    register()
    with initialize_config_module("mtl_sharing.conf"):
        base = compose("train", overrides=list(WORDS))
    return lambda *words: make_blueprint(
        to_config(OmegaConf.merge(base, OmegaConf.from_dotlist(list(words))))
    )


@pytest.fixture(scope="session")
def text(describe, tmp_path_factory):
    """Encoded text, which is the same for every plan."""
    blueprint = describe("sharing.plan=S1", "encoder.layers=1")
    return read_material(blueprint, tmp_path_factory.mktemp("text"))


@pytest.fixture
def prepare(describe, text):
    """The blueprint and the material of a run, with the tower that its config describes."""

    def make(*words):
        blueprint = describe(*words)
        tower = random_tower(blueprint.shape, blueprint.config.seed)
        return blueprint, replace(text, tower=tower)

    return make


@pytest.fixture
def fresh_learner(prepare):
    """A learner of a run with the given words, at its start."""

    def make(*words):
        blueprint, material = prepare(*words)
        return make_learner(blueprint, material, blueprint.architecture)

    return make
