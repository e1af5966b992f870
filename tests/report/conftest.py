"""A few real runs, made once, and copies of them that say otherwise."""

import logging
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from mtl_sharing.cli.train import main
from report_runs import Maker
from support import QUICK

# Few layers, since what the copies say of theirs is what counts.
WORDS = (*QUICK, "trainer.eval_every=2", "encoder.layers=4")


@pytest.fixture(scope="session")
def real_runs(tmp_path_factory) -> Path:
    """Separate models in ``single``, two seeds of a hybrid with cosines in ``several/0`` and 1."""
    top = tmp_path_factory.mktemp("real")
    commands = (
        ("sharing=individual", "hydra.run.dir=single"),
        ("-m", "seed=0,1", "split=2", "loss.cosines=stages", "hydra.sweep.dir=several"),
    )
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        for words in commands:
            patch.setattr(sys, "argv", ["mtl-train", *WORDS, *words])
            GlobalHydra.instance().clear()
            main()
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    return top


@pytest.fixture
def make_run(real_runs, tmp_path) -> Maker:
    """Makes runs in ``runs`` of the test's folder."""
    return Maker(real_runs / "single", tmp_path / "runs")
