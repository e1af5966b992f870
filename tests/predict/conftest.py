"""Runs without what training left beside them, and ``mtl-predict``."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mtl_sharing.cli.predict import main
from spacy_pipelines import make_pipeline
from support import Outcome


@pytest.fixture
def moved(quick_run, tmp_path) -> Callable[..., Path]:
    """Such a run's three files alone, in another place."""

    def make(*words: str) -> Path:
        folder = tmp_path / "moved"
        folder.mkdir()
        for name in ("model.safetensors", "config.json", "tokenizer.json"):
            shutil.copy(quick_run(*words) / name, folder / name)
        return folder

    return make


@pytest.fixture(scope="session")
def tagged_run(quick_run, tmp_path_factory) -> Path:
    """The folder of a run with tags; its pipeline is in config.json."""
    pipeline = make_pipeline(tmp_path_factory.mktemp("spacy") / "pipeline")
    return quick_run("encoder.layers=2", "sharing.plan=S2", f"suite.tags.pipeline={pipeline}")


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
