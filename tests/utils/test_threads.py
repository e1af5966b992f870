"""How many threads a run takes."""

import os
import subprocess
import sys

import pytest
import torch

from mtl_sharing.utils.device import (
    DEFAULT_THREADS,
    most_threads,
    set_threads,
    threads_are_given,
    usable_cores,
)
from mtl_sharing.utils.spinning import limit_spinning
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
    ("running", "given", "spins"),
    [
        (1 + (os.cpu_count() or 1), {}, "1000"),
        (1, {}, None),
        (99, {"GOMP_SPINCOUNT": "7"}, "7"),
        (99, {"OMP_WAIT_POLICY": "active"}, None),
        ("?", {}, None),
    ],
)
def test_waiting_threads_spin_shortly_on_busy_cores(monkeypatch, tmp_path, running, given, spins):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "loadavg").write_text(f"0.31 0.20 0.11 {running}/213 4711\n")
    limit_spinning(tmp_path / "loadavg")
    assert os.environ.get("GOMP_SPINCOUNT") == spins
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)


@pytest.mark.parametrize(
    ("value", "given"), [("2", True), ("4,2", True), ("", False), ("0", False), ("abc", False)]
)
def test_only_a_number_in_the_environment_sets_the_threads(monkeypatch, value, given):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads_are_given() == given


def test_the_package_looks_at_the_cores_before_torch_is_loaded():
    code = (
        "import sys; from mtl_sharing.utils import spinning; assert 'torch' not in sys.modules; "
        "import mtl_sharing; assert mtl_sharing.limit_spinning is spinning.limit_spinning"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_says_its_threads(mtl_train, threads):
    done = mtl_train(*QUICK, "encoder.layers=1", "trainer.max_steps=1", "trainer.threads=1")
    assert done.result["machine"]["threads"] == 1
