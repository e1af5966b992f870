"""What SLURM's queue says of jobs where it keeps no accounts."""

import pytest

pytest.importorskip("submitit")
from mtl_sharing.sweep.jobs.slurm import QueueWatcher

# Of a SLURM 22.05: jobs, an array's tasks, one that was killed.
QUEUE = b"""\
12|RUNNING|n1
13|PENDING|
14_3|COMPLETED|n2
15|FAILED|n1
16|COMPLETING|n2
"""


@pytest.fixture
def watcher():
    made = QueueWatcher()
    made.accounts = False
    for job in ("12", "13", "14_3", "15", "16", "11"):
        made.register_job(job)
    made._info_dict.update(made.read_info(QUEUE))
    return made


@pytest.mark.parametrize(("job", "state", "done"), [
    ("12", "RUNNING", False), ("13", "PENDING", False), ("14_3", "COMPLETED", True),
    ("15", "FAILED", True), ("16", "COMPLETING", False),
])  # fmt: skip
def test_states_are_read(watcher, job, state, done):
    assert watcher.get_state(job, mode="cache") == state
    assert watcher.is_done(job, mode="cache") == done


def test_a_job_that_slurm_has_forgotten_has_ended(watcher):
    assert watcher.is_done("11", mode="cache")


def test_a_cluster_with_accounts_is_asked_for_them(watcher, monkeypatch):
    assert watcher._make_command()[0] == "squeue"
    watcher.accounts = True
    assert watcher._make_command()[0] == "sacct"
    rows = "JobID|State|NodeList\n12|RUNNING|n1\n12.batch|RUNNING|n1\n15|CANCELLED by 0|n1\n"
    assert watcher.read_info(rows)["15"]["State"].startswith("CANCELLED")
