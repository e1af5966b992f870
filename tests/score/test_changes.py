"""Percentages against a baseline, by hand."""

import pytest

from mtl_sharing.score.reference import percent_change, task_changes


@pytest.mark.parametrize(
    ("value", "base", "wanted"),
    [(0.6, 0.5, 20.0), (0.4, 0.5, -20.0), (0.5, 0.5, 0.0), (0.0, 0.25, -100.0),
     (0.3, -0.1, 400.0), (-0.3, -0.1, -200.0), (-0.1, 0.2, -150.0), (0.3, 0.0, None)],
)  # fmt: skip
def test_by_hand(value, base, wanted):
    found = percent_change(value, base)
    assert found == (None if wanted is None else pytest.approx(wanted))


def test_each_task_has_three_figures_and_its_metric():
    ours = {
        "sst": {"metric": "f1", "precision": 0.5, "recall": 0.3, "f1": 0.2, "mcc": 0.9},
        "sts": {"metric": "pearson", "precision": 0.1, "recall": 0.2, "f1": 0.3, "pearson": 0.7},
    }
    theirs = {
        "sts": {"metric": "pearson", "precision": 0.2, "recall": 0.1, "f1": 0.0, "pearson": 0.5},
        "sst": {"metric": "f1", "precision": 0.4, "recall": 0.6, "f1": 0.1},
    }
    assert task_changes(ours, theirs) == {
        "sst": {n: pytest.approx(v) for n, v in (("precision", 25), ("recall", -50), ("f1", 100))},
        "sts": {
            "precision": pytest.approx(-50), "recall": pytest.approx(100), "f1": None,
            "pearson": pytest.approx(40),
        },
    }  # fmt: skip


def test_a_figure_that_a_baseline_of_old_lacks_is_null():
    ours = {"sst": {"metric": "accuracy", "precision": 0.5, "recall": 0.3, "f1": 0.2,
                    "accuracy": 0.4}}  # fmt: skip
    found = task_changes(ours, {"sst": {"metric": "accuracy", "accuracy": 0.8}})
    assert found["sst"] == {
        "precision": None, "recall": None, "f1": None, "accuracy": pytest.approx(-50),
    }  # fmt: skip
