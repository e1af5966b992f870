"""Fixtures that many tests need."""

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from mtl_sharing.cli.train import main
from support import COURSE_DATA, Outcome


def pytest_collection_finish() -> None:
    """What is loaded by now stays: a tenth of the tests' time was the collector's walks over it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory) -> Iterator[None]:
    """The user's own cache is neither read nor written; commands that tests start inherit this."""
    fonts = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "matplotlib"
    with pytest.MonkeyPatch.context() as patch:
        if "MPLCONFIGDIR" not in os.environ:  # or its list of fonts would be made anew
            patch.setenv("MPLCONFIGDIR", str(fonts))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def pictures() -> None:
    """For a test of what a run draws, which :func:`mtl_train` leaves out: a quarter of its time."""


@pytest.fixture
def mtl_train(request, tmp_path, monkeypatch, capsys) -> Iterator[Callable[..., Outcome]]:
    """``mtl-train`` with the given words, in a folder of its own."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("mtl_sharing.job.stages.draw_curves", lambda *arguments: None)
        monkeypatch.setattr("mtl_sharing.sweep.output.summary.draw_sweep", lambda *arguments: None)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def call(*words: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mtl-train", *map(str, words)])
        GlobalHydra.instance().clear()
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err, tmp_path)

    yield call
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)


@pytest.fixture
def course_data() -> Path:
    """The folder of the course's files; skips where it is absent."""
    if not COURSE_DATA.is_dir():
        pytest.skip("the course data is not in ../shared/data/cs224n")
    return COURSE_DATA
