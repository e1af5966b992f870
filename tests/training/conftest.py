"""Quick trainings: specs of any settings, over one encoded text."""

import signal
from dataclasses import replace

import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from mtl_sharing.config import register, to_config
from mtl_sharing.errors import Stopped
from mtl_sharing.evaluation.evaluate import Evaluation
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.phases import make_learner, make_trainer
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.training import trainer as trainer_module
from mtl_sharing.training.learner import Learner
from support import QUICK

PHASES = ("mlm", "ranking", "heads_first", "single_after")
SETTINGS = (*QUICK, "trainer.precision=fp32", "trainer.device=cpu", "trainer.eval_examples=20",
            f"phases=[{','.join(PHASES)}]")  # fmt: skip


@pytest.fixture(scope="session")
def describe():
    """The spec of a quick run with the given settings and some of PHASES."""
    register()
    with initialize_config_module("mtl_sharing.conf"):
        base = compose("train", overrides=list(SETTINGS))

    def make(*settings, phases=()):
        config = to_config(OmegaConf.merge(base, OmegaConf.from_dotlist(list(settings))))
        config.phases = {name: config.phases[name] for name in phases}
        return resolve_spec(config)

    return make


@pytest.fixture(scope="session")
def text(describe, tmp_path_factory):
    """Encoded text, which is the same for every plan, with what every phase reads."""
    run_spec = describe("sharing.plan=S1", "encoder.layers=1", phases=PHASES)
    return load_inputs(run_spec, tmp_path_factory.mktemp("text"))


@pytest.fixture
def prepare(describe, text):
    """The spec and the inputs of a run, with the starting weights that its config describes."""

    def make(*settings, phases=()):
        run_spec = describe(*settings, phases=phases)
        tower = random_tower(run_spec.shape, run_spec.config.seed)
        train, dev = ({t: part[t] for t in run_spec.specs} for part in (text.train, text.dev))
        return run_spec, replace(text, tower=tower, train=train, dev=dev)

    return make


@pytest.fixture
def fresh_learner(prepare):
    """A learner of a run with the given settings, at its start."""

    def make(*settings):
        run_spec, inputs = prepare(*settings)
        return make_learner(run_spec, inputs, run_spec.architecture)

    return make


@pytest.fixture
def start(prepare, tmp_path):
    """A trainer in a folder of its own; a trainer of the same folder can resume its run."""

    def make(*settings, phases=(), folder="run"):
        run_spec, inputs = prepare(*settings, phases=phases)
        torch.manual_seed(run_spec.config.seed)
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        return make_trainer(run_spec, inputs, path)

    return make


@pytest.fixture
def scripted(monkeypatch):
    """Evaluations with the given metrics of each task, one after the other.

    A single number is the metric of all tasks.
    """

    def script(*evaluations):
        remaining = iter(evaluations)

        def scripted_evaluate(*arguments):
            values = next(remaining)
            values = values if isinstance(values, tuple) else (values,) * 3
            return Evaluation({
                task: {"metric": "accuracy", "value": value, "loss": 1 - value}
                for task, value in zip(("sst", "quora", "sts"), values, strict=True)
            })  # fmt: skip

        monkeypatch.setattr(trainer_module, "evaluate", scripted_evaluate)

    return script


@pytest.fixture
def stop_at(monkeypatch):
    """Runs a trainer whose update with the given number is interrupted by a signal."""
    update = Learner.update

    def run(trainer, number):
        def interrupted(self, step, total, ended):
            if trainer.done + 1 == number:
                trainer.signals.receive(signal.SIGTERM)
            return update(self, step, total, ended)

        with monkeypatch.context() as patch:
            patch.setattr(Learner, "update", interrupted)
            with pytest.raises(Stopped):
                trainer.run()
        assert trainer.done == number

    return run
