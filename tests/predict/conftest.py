"""Runs to predict with, each trained once."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mtl_sharing.cli.predict import main
from mtl_sharing.job.run import run_job
from mtl_sharing.job.stages import Hooks
from support import QUICK, Outcome, load_config


@pytest.fixture(scope="session")
def train(tmp_path_factory) -> Callable[..., Path]:
    """The folder of a finished run with these words beside ``QUICK``; equal words train once."""
    done: dict[tuple[str, ...], Path] = {}

    def make(*words: str) -> Path:
        if words not in done:
            done[words] = tmp_path_factory.mktemp("run")
            config = replace(load_config(*QUICK, *words), dry_run=False)
            run_job(config, done[words], Hooks(curves=False))
        return done[words]

    return make


@pytest.fixture
def moved(train, tmp_path) -> Callable[..., Path]:
    """Such a run's three files alone, in another place."""

    def make(*words: str) -> Path:
        folder = tmp_path / "moved"
        folder.mkdir()
        for name in ("model.safetensors", "config.json", "tokenizer.json"):
            shutil.copy(train(*words) / name, folder / name)
        return folder

    return make


@pytest.fixture
def mtl_predict(capsys) -> Callable[..., Outcome]:
    """``mtl-predict`` with the given words, in this process."""

    def call(*words: object) -> Outcome:
        capsys.readouterr()
        code = 0
        try:
            main(["--device", "cpu", *map(str, words)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err, Path.cwd())

    return call
