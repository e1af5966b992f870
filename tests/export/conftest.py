"""Runs that are quick to make, for exports."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from export_runs import SMALL
from mtl_sharing.job.description import model_config
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.model.network import Network
from mtl_sharing.run_folder.manifest import replace_listed, text_writer
from mtl_sharing.training.checkpoint import weights_writer
from mtl_sharing.utils.files import json_text
from support import load_config, perturb


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A run that really trained; its tokenizer serves all others."""
    from mtl_sharing.job.run import run_job
    from mtl_sharing.job.stages import Hooks

    folder = tmp_path_factory.mktemp("trained")
    run_job(load_config(*SMALL, "dry_run=false"), folder, Hooks(curves=False))
    return folder


@pytest.fixture(scope="session")
def make_run(trained, tmp_path_factory):
    """The three files of a run with these words, every weight of it random and far from 0."""

    def make(*words: str) -> Path:
        run_spec = resolve_spec(load_config(*SMALL, *words))
        folder = tmp_path_factory.mktemp("run")
        network = Network(run_spec.architecture, random_tower(run_spec.shape, 5), 5)
        replace_listed(folder, {
            "model.safetensors": weights_writer(folder, perturb(network)),
            "config.json": text_writer(json_text(model_config(run_spec))),
            "tokenizer.json": partial(shutil.copy, trained / "tokenizer.json"),
        })  # fmt: skip
        return folder

    return make
