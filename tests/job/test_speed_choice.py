"""The rule for threads and precision: what costs something must gain something."""

import pytest

from mtl_sharing.job.speed_choice import choose

FP32, BF16 = ("fp32", 1), ("bf16", 1)
FP32_8, BF16_8 = ("fp32", 8), ("bf16", 8)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ({FP32: 1.2, BF16: 1.0}, "bf16 on 1 thread: fp32 takes 1.20 of its time"),
        ({FP32: 1.0, BF16: 0.9}, "fp32 on 1 thread: bf16 takes 0.90 of its time"),
        ({FP32_8: 1.0, FP32: 1.49}, "fp32 on 1 thread: 8 threads gain 1.49"),
        ({FP32_8: 1.0, FP32: 1.5}, "fp32 on 8 threads: 8 threads gain 1.50"),
        # Each number of threads is judged in the precision that it would have.
        ({FP32_8: 1.0, FP32: 1.7, BF16_8: 0.5, BF16: 0.6},
         "bf16 on 1 thread: fp32 takes 2.83 of its time, 8 threads gain 1.20"),
        ({FP32_8: 1.0, FP32: 1.7, BF16_8: 0.9, BF16: 1.7},
         "fp32 on 8 threads: bf16 takes 0.90 of its time, 8 threads gain 1.70"),
        # Long steps are not timed on one thread.
        ({FP32_8: 1.0, BF16_8: 0.5}, "bf16 on 8 threads: fp32 takes 2.00 of its time, "
                                     "its steps are long enough for all threads"),
        ({FP32_8: 1.0}, "fp32 on 8 threads: its steps are long enough for all threads"),
    ],
)  # fmt: skip
def test_bf16_and_threads_must_gain_clearly(seconds, text):
    assert str(choose(seconds)) == text
