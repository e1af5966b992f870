"""A few real runs, trained once, and altered copies of them."""

import json
import logging
import shutil
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from mtl_sharing.cli.train import main
from mtl_sharing.report.build import write_report
from mtl_sharing.report.page import figures
from report_pages import NASTY, with_nasty_text
from report_runs import Maker
from support import QUICK, rewrite

# Few layers: the altered copies state their own.
OVERRIDES = (*QUICK, "trainer.eval_every=2", "encoder.layers=4")


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
        for overrides in commands:
            patch.setattr(sys, "argv", ["mtl-train", *OVERRIDES, *overrides])
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


@pytest.fixture(scope="session")
def written(real_runs, tmp_path_factory) -> Path:
    """The report over the real runs, a failed one, and a sweep's history.

    Its title has a very long word; the title and all dev texts try to inject a script.
    """
    runs = tmp_path_factory.mktemp("written")
    for name in ("single", "several"):
        shutil.copytree(real_runs / name, runs / name)
    for name in ("single", "several/0", "several/1"):
        with_nasty_text(runs / name)
    lost = runs / "lost"
    shutil.copytree(real_runs / "single", lost)
    record = json.loads((lost / "result.json").read_text())
    rewrite(lost / "result.json", json.dumps(record | {"status": "failed", "reason": NASTY}))
    (runs / "several" / "sweep.csv").write_text(
        "trial,state,regime,split,objective/keep,same_as,reason\n"
        "0,COMPLETE,S6-I6,6,1.5,,\n1,COMPLETE,S6-I6,6,2.5,,\n2,PRUNED,S3-I9,3,,,behind\n"
        "3,COMPLETE,S6-I6,6,2.5,1,\n4,FAIL,S2-I10,2,,,\n"
    )
    write_report([runs], runs / "report", title=f"{NASTY} {'a' * 300}")
    return runs / "report"


@pytest.fixture
def without_drawing(monkeypatch):
    """Figures without their content, for tests that look at other files."""
    monkeypatch.setattr(figures, "rendered", lambda figure, kind: b"<svg/>")
