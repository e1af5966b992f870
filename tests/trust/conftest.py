"""The runs that the tests of trust damage and forge copies of."""

from pathlib import Path

import pytest

from trust.runs import make_finished, make_stopped


@pytest.fixture(scope="session")
def trust_runs(tmp_path_factory) -> dict[str, Path]:
    """A finished run and a stopped one, by their state. Tests change copies only."""
    made = tmp_path_factory.mktemp("trust")
    return {
        "finished": make_finished(made / "finished"),
        "stopped": make_stopped(made / "stopped"),
    }
