"""How many threads a run takes."""

import os
import subprocess
import sys

import pytest
import torch

from mtl_sharing.utils.device import DEFAULT_THREADS, most_threads, set_threads, usable_cores
from support import QUICK


@pytest.fixture
def threads(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("text", "most"),
    [("150000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", None), ("nonsense", None)],
)
def test_a_container_s_quota_counts(tmp_path, text, most):
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    cores = len(os.sched_getaffinity(0))
    assert usable_cores(quota) == min(cores, most or cores)
    assert usable_cores(tmp_path / "nothing") == cores


def test_threads_are_as_wanted(threads, monkeypatch):
    set_threads(3)
    assert torch.get_num_threads() == 3
    set_threads(None)
    assert torch.get_num_threads() == min(DEFAULT_THREADS, usable_cores())
    assert most_threads() == usable_cores()


def test_the_environment_s_number_of_threads_may_exceed_the_cores(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "999")
    monkeypatch.setattr("mtl_sharing.utils.device.DEFAULT_THREADS", 999)
    torch.set_num_threads(1)
    monkeypatch.setattr(torch, "set_num_threads", (asked := []).append)
    set_threads(None)
    assert asked == [999]
    assert most_threads() == 999


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_waiting_threads_spin_shortly_unless_the_environment_says_how(given, spins):
    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    code = "import sys, os, mtl_sharing; assert 'torch' not in sys.modules; "
    code += "print(os.environ.get('GOMP_SPINCOUNT'))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=clean | given, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == spins


def test_a_run_says_its_threads(mtl_train, threads):
    done = mtl_train(*QUICK, "encoder.layers=1", "trainer.max_steps=1", "trainer.threads=1")
    assert done.result["machine"]["threads"] == 1
