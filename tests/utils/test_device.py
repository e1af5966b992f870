"""What trainer.precision=auto takes on a CPU: bf16 for a clear gain, and no other for noise."""

from itertools import cycle

import pytest
import torch

from mtl_sharing.utils import device as precision

CPU = torch.device("cpu")


@pytest.fixture
def timed(monkeypatch):
    """Has the products of each type take the given seconds, round after round; counts them."""
    counts = []

    def script(fp32, bf16):
        precision.bf16_speedup.cache_clear()
        clocks = {torch.float32: cycle(fp32), torch.bfloat16: cycle(bf16)}

        def seconds(left, right):
            counts.append(left.dtype)
            return next(clocks[left.dtype])

        monkeypatch.setattr(precision, "time_product", seconds)
        return counts

    yield script
    precision.bf16_speedup.cache_clear()


@pytest.mark.parametrize(
    ("fp32", "bf16", "chosen"),
    [
        ([3], [1], "bf16"),
        ([1], [1], "fp32"),
        ([1], [3], "fp32"),
        # Most rounds of fp32 were disturbed, or all but one of bf16 were not.
        ([9, 9, 9, 9, 9, 9, 1], [3], "fp32"),
        ([1], [3, 3, 3, 3, 3, 3, 0.1], "fp32"),
        ([3], [1, 9, 1, 9, 1, 1, 1], "bf16"),
    ],
)
def test_only_a_gain_without_noise_decides(timed, fp32, bf16, chosen):
    timed(fp32, bf16)
    assert precision.choose_precision("auto", CPU, 32) == chosen


def test_a_process_decides_once(timed):
    counts = timed([3], [1])
    assert precision.choose_precision("auto", CPU, 32) == "bf16"
    tried = len(counts)
    assert precision.choose_precision("auto", CPU, 32) == "bf16"
    assert len(counts) == tried
    precision.choose_precision("auto", CPU, 64)
    assert len(counts) == 2 * tried
