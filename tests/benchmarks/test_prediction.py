"""Predictions of shared layers against separate models: work and output."""

import pandas as pd

from benchmarks.prediction import format_lines, make_variants
from support import QUICK


def test_contenders_do_the_same_work(tmp_path):
    overrides = ("suite=bundled", *QUICK, "encoder.layers=2", f"cache.folder={tmp_path}")
    works, run, pairs = make_variants(overrides)
    assert str(run.run_spec.plan) == "S1-I1" and pairs == 60
    half, together = (works[name]() for name in list(works)[:2])
    # Untrained copies are equal, so sharing changes no prediction.
    pd.testing.assert_frame_equal(half, together, rtol=1e-4)
    assert half.shape == (60, 5)


def test_times_are_told_as_ratios_to_the_first():
    result = format_lines(["shared", "apart"], [[2.0, 3.0], [2.0, 5.0], [1.0, 2.0]], 100)
    assert result[0].split() == ["shared", "2.000", "s", "50", "pairs/s", "1.00", "(1.00", "to",
                                "1.00)"]  # fmt: skip
    assert result[1].split()[1:] == ["3.000", "s", "33", "pairs/s", "2.00", "(1.50", "to", "2.50)"]
