"""Runs of the command that several files look at."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copied_run(hybrid_run, tmp_path) -> Path:
    """A copy of the finished hybrid run, as ``run`` in the test's folder."""
    return Path(shutil.copytree(hybrid_run.folder, tmp_path / "run"))
