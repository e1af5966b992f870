"""Predictions of shared layers against separate models: what is raced, and what is told."""

import pandas as pd

from benchmarks.prediction import contenders, lines
from support import QUICK


def test_contenders_do_the_same_work(tmp_path):
    words = ("suite=bundled", *QUICK, "encoder.layers=2", f"cache.folder={tmp_path}")
    works, run, pairs = contenders(words)
    assert str(run.run_spec.plan) == "S1-I1" and pairs == 60
    half, together = (works[name]() for name in list(works)[:2])
    # Untrained copies are equal, so sharing changes no prediction.
    pd.testing.assert_frame_equal(half, together, rtol=1e-4)
    assert half.shape == (60, 5)


def test_times_are_told_as_ratios_to_the_first():
    found = lines(["shared", "apart"], [[2.0, 3.0], [2.0, 5.0], [1.0, 2.0]], 100)
    assert found[0].split() == ["shared", "2.000", "s", "50", "pairs/s", "1.00", "(1.00", "to",
                                "1.00)"]  # fmt: skip
    assert found[1].split()[1:] == ["3.000", "s", "33", "pairs/s", "2.00", "(1.50", "to", "2.50)"]
