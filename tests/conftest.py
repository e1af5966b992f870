"""Fixtures that many tests need."""

import gc
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from mtl_sharing.cli.train import main
from mtl_sharing.job.run import run_job
from mtl_sharing.job.stages import Hooks
from support import COURSE_DATA, QUICK, Outcome, load_config


def pytest_collection_finish() -> None:
    """Keeps the garbage collector from walking over imports, a tenth of the tests' time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory) -> Iterator[None]:
    """A cache for the tests alone, also for the processes that they start."""
    fonts = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "matplotlib"
    with pytest.MonkeyPatch.context() as patch:
        if "MPLCONFIGDIR" not in os.environ:  # keeps the list of fonts
            patch.setenv("MPLCONFIGDIR", str(fonts))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def pictures() -> None:
    """For a test of a run's figures. Elsewhere :func:`mtl_train` draws none, to be faster."""


@contextmanager
def _command(cwd: Path, pictures: bool) -> Iterator[Callable[..., Outcome]]:
    """Within the block, a function that calls ``mtl-train`` in the folder ``cwd``."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with pytest.MonkeyPatch.context() as patch:
        if not pictures:
            patch.setattr("mtl_sharing.job.stages.draw_curves", lambda *arguments: None)
            drawing = ("summary.draw_sweep", "search_summary.draw_answer_file")
            for name in drawing:
                patch.setattr(f"mtl_sharing.sweep.output.{name}", lambda *arguments: None)
        patch.chdir(cwd)

        def call(*arguments: str) -> Outcome:
            patch.setattr(sys, "argv", ["mtl-train", *map(str, arguments)])
            GlobalHydra.instance().clear()
            here, code, out, err = Path.cwd(), 0, io.StringIO(), io.StringIO()
            with redirect_stdout(out), redirect_stderr(err):
                try:
                    main()
                except SystemExit as stop:
                    code = int(stop.code or 0)
                finally:
                    os.chdir(here)  # resume=RUN changes to where the run was started
            return Outcome(code, out.getvalue(), err.getvalue(), cwd)

        yield call
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)


@pytest.fixture(scope="session")
def command_in() -> Callable[[Path], AbstractContextManager[Callable[..., Outcome]]]:
    """For a fixture of a module or session: ``with command_in(folder) as mtl_train``."""
    return lambda cwd: _command(cwd, pictures=False)


@pytest.fixture
def mtl_train(request, tmp_path) -> Iterator[Callable[..., Outcome]]:
    """``mtl-train`` with the given arguments, in a folder of its own."""
    with _command(tmp_path, "pictures" in request.fixturenames) as call:
        yield call


def _finished(folder: Path, *overrides: str) -> Outcome:
    with _command(folder, pictures=True) as call:
        outcome = call(*QUICK, "score.pairs=1", *overrides)
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.fixture(scope="session")
def hybrid_run(tmp_path_factory) -> Outcome:
    """A finished ``mtl-train`` of a hybrid plan. Tests change copies of its folder only."""
    return _finished(tmp_path_factory.mktemp("hybrid"), "sharing=hybrid", "split=6")


@pytest.fixture(scope="session")
def separate_run(tmp_path_factory) -> Outcome:
    """A finished ``mtl-train`` of separate models. Tests change copies of its folder only."""
    return _finished(tmp_path_factory.mktemp("separate"), "sharing=individual")


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory) -> Callable[..., Path]:
    """The folder of a finished run with overrides beside ``QUICK``; equal ones train once."""
    folders: dict[tuple[str, ...], Path] = {}

    def train(*overrides: str) -> Path:
        if overrides not in folders:
            folders[overrides] = tmp_path_factory.mktemp("run")
            config = load_config(*QUICK, *overrides, "dry_run=false")
            run_job(config, folders[overrides], Hooks(curves=False))
        return folders[overrides]

    return train


@pytest.fixture
def course_data() -> Path:
    """The folder of the course's files; skips where it is absent."""
    if not COURSE_DATA.is_dir():
        pytest.skip("the course data is not in ../shared/data/cs224n")
    return COURSE_DATA
