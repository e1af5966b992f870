"""Small dev sets: macro averages as scikit-learn's, and metrics that are undefined."""

import logging
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from mtl_sharing.evaluation.evaluate import Evaluation
from mtl_sharing.evaluation.metrics import floor, task_metrics, undefined_metrics
from mtl_sharing.report.analysis.predictions import resampled_metrics
from mtl_sharing.score.performance import is_at_floor

CLASSES = 5
examples = st.lists(st.tuples(*[st.integers(0, CLASSES - 1)] * 2), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(examples)
def test_macro_averages_are_scikit_learn_s_defaults(pairs):
    labels, guesses = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    found = task_metrics("classes", guesses, labels, CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("f1", "precision", "recall"):
            function = getattr(metrics, f"{name}_score")
            assert found[name] == pytest.approx(function(labels, guesses, average="macro")), name
    absent = {str(n) for n in range(CLASSES)} - {str(int(n)) for n in (*labels, *guesses)}
    assert {n for n, values in found["by_class"].items() if values["f1"] is None} == absent
    resampled = resampled_metrics("task", "f1", labels, guesses[None], CLASSES)
    assert np.all((resampled >= 0) & (resampled <= 1))
    if np.array_equal(labels, guesses):
        assert np.allclose(resampled, 1) and found["f1"] == 1


# Kind, labels, predictions; the metric, its value and floor; which metrics are undefined.
CASES = {
    "constant labels": ("regression", [3, 3, 3], [1, 2, 4], "pearson", 0, 0,
                        {"pearson", "spearman"}),
    "constant predictions": ("regression", [1, 2, 3], [2.5] * 3, "spearman", 0, 0,
                             {"pearson", "spearman"}),
    "both constant": ("regression", [2, 2], [2, 2], "pearson", 0, 0, {"pearson", "spearman"}),
    "one example": ("regression", [2], [2.2], "pearson", 0, 0, {"pearson", "spearman"}),
    "a regression": ("regression", [1, 2, 3], [2, 4, 6], "pearson", 1, 0, set()),
    "one class, right": ("binary", [1, 1, 1], [1, 1, 1], "f1", 1, 1, {"mcc"}),
    "one class, wrong": ("binary", [1, 1, 1], [0, 0, 0], "accuracy", 0, 1,
                         {"mcc", "precision", "recall"}),
    "one class, half": ("binary", [1, 1], [1, 0], "f1", 1 / 3, 1, {"mcc", "recall"}),
    "a class never predicted": ("classes", [0, 1, 2, 2], [0, 1, 1, 1], "accuracy", 0.5, 0.5,
                                {"precision"}),
    "a class in no label": ("classes", [0, 1, 0, 1], [0, 1, 2, 1], "f1", 5 / 9, 1 / 3, {"recall"}),
    "constant answers of five": ("classes", [0, 1, 2, 3, 4], [4] * 5, "mcc", 0, 0,
                                 {"mcc", "precision"}),
    "absent from both": ("classes", [0, 1, 0, 1], [0, 1, 0, 1], "f1", 1, 1 / 3, set()),
    "one class of five": ("classes", [2] * 4, [2, 2, 2, 2], "mcc", 0, 0, {"mcc"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_small_dev_sets(case):
    kind, labels, guesses, metric, value, lowest, undefined = CASES[case]
    labels, guesses = np.array(labels, dtype=float), np.array(guesses, dtype=float)
    classes = 0 if kind == "regression" else 2 if kind == "binary" else CLASSES
    found = task_metrics(kind, guesses, labels, classes)
    assert found[metric] == pytest.approx(value)
    assert floor(metric, kind, labels, classes) == pytest.approx(lowest)
    assert is_at_floor(found[metric], lowest) == (value <= lowest)
    reasons = undefined_metrics(kind, guesses, labels)
    assert set(reasons) == undefined
    assert all(found[name] == 0 for name in reasons if name not in ("precision", "recall"))
    assert all("counts as 0" in reason for reason in reasons.values())


def test_the_log_says_once_which_metric_is_undefined_and_what_counts(caplog):
    why = undefined_metrics("regression", np.array([1.0, 2]), np.array([3.0, 3]))
    other = undefined_metrics("binary", np.array([1.0, 1]), np.array([1.0, 0]))
    tasks = {
        "sts": {"metric": "pearson", "value": 0.0, "examples": 2, "undefined": why},
        "quora": {"metric": "accuracy", "value": 0.5, "examples": 2, "undefined": other},
        "sst": {"metric": "accuracy", "value": 0.5, "examples": 2, "undefined": {}},
    }
    with caplog.at_level(logging.INFO):
        Evaluation(tasks).log_undefined()
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    of_sts = "pearson undefined on dev (2 examples): all 2 labels are 3, counts as 0"
    assert told[0] == ("WARNING", f"sts: {of_sts}")
    assert [text.partition(":")[0] for _, text in told] == ["sts", "sts", "quora"]
    assert told[2][0] == "INFO" and "mcc" in told[2][1] and "class 0 never predicted" in told[2][1]
