"""Fixtures of the tests against a real SLURM and a real PostgreSQL."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.services import Postgres, Slurm, running, why_no_postgres, why_no_slurm
from cluster.sweeping import Sweeping


def _folder(name: str) -> Path:
    """Not pytest's own, which PostgreSQL's user may not enter; short, for sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix=f"mtl_{name}_"))
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of these tests' own."""
    reason = why_no_postgres()
    if reason:
        pytest.skip(reason)
    with running(Postgres(_folder("postgres"))) as service:
        yield service


@pytest.fixture
def slurm() -> Iterator[Slurm]:
    """A SLURM of two nodes, new for each test."""
    reason = why_no_slurm()
    if reason:
        pytest.skip(reason)
    with running(Slurm(_folder("slurm"))) as service:
        yield service


@pytest.fixture
def sweeping(tmp_path, postgres, slurm) -> Iterator[Sweeping]:
    """Sweeps as SLURM jobs with their study in PostgreSQL."""
    made = Sweeping(tmp_path, postgres, slurm)
    yield made
    made.stop()
