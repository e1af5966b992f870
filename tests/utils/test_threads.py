"""How many threads a run takes."""

import os

import pytest
import torch

from mtl_sharing.utils.device import DEFAULT_THREADS, set_threads, usable_cores
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
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    torch.set_num_threads(4)
    set_threads(None)
    assert torch.get_num_threads() == 4


def test_a_run_says_its_threads(mtl_train, threads):
    done = mtl_train(*QUICK, "encoder.layers=1", "trainer.max_steps=1", "trainer.threads=1")
    assert done.result["machine"]["threads"] == 1
