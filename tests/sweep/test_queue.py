"""The states of SLURM's jobs by its queue, where it keeps no accounts."""

import pytest

pytest.importorskip("submitit")
from submitit.slurm.slurm import SlurmInfoWatcher

from mtl_sharing.sweep.jobs.slurm import QueueWatcher

# Of a SLURM 22.05: jobs, an array's tasks, one that was killed.
QUEUE = b"""\
12|RUNNING|n1
13|PENDING|
14_3|COMPLETED|n2
15|FAILED|n1
16|COMPLETING|n2
"""
ACCOUNTS = b"""\
JobID|State|NodeList
12|RUNNING|n1
12.batch|RUNNING|n1
15|CANCELLED by 0|n1
"""


@pytest.fixture
def commands(monkeypatch):
    """Programs that were called; squeue and sacct respond."""
    called: list[str] = []

    def check_output(command, shell):
        called.append(command[0])
        return {"squeue": QUEUE, "sacct": ACCOUNTS}[command[0]]

    monkeypatch.setattr("submitit.core.core.subprocess.check_output", check_output)
    return called


@pytest.fixture
def watcher(commands):
    watcher = QueueWatcher()
    watcher.accounting = False
    for job in ("12", "13", "14_3", "15", "16", "11"):
        watcher.register_job(job)
    watcher.update()
    return watcher


@pytest.mark.parametrize(("job", "state", "done"), [
    ("12", "RUNNING", False), ("13", "PENDING", False), ("14_3", "COMPLETED", True),
    ("15", "FAILED", True), ("16", "COMPLETING", False),
])  # fmt: skip
def test_states_are_read(watcher, job, state, done):
    assert watcher.get_state(job, mode="cache") == state
    assert watcher.is_done(job, mode="cache") == done


def test_a_job_that_slurm_has_forgotten_has_ended(watcher):
    assert watcher.is_done("11", mode="cache")


def test_a_cluster_with_accounts_is_asked_for_them(watcher, commands):
    watcher.accounting = True
    watcher.update()
    assert commands == ["squeue", "sacct"]
    assert watcher.get_state("15", mode="cache").startswith("CANCELLED")


def test_submitit_has_what_the_watcher_replaces():
    why = "submitit's SlurmInfoWatcher has no {} any more, on which QueueWatcher is built"
    assert callable(getattr(SlurmInfoWatcher, "_make_command", None)), why.format("_make_command")
    assert hasattr(SlurmInfoWatcher(), "_registered"), why.format("_registered")
