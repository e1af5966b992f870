"""Metrics of weighted examples are those of the examples themselves."""

import numpy as np
import pytest

from mtl_sharing.evaluation.metrics import task_metrics
from mtl_sharing.report.analysis import predictions
from mtl_sharing.report.analysis.predictions import resample_weights, resampled_metrics

KINDS = {"accuracy": "classes", "f1": "classes", "mcc": "classes"}


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(predictions, "RESAMPLES", 7)
    monkeypatch.setattr(predictions, "BLOCK", 150)  # several blocks


@pytest.mark.parametrize("metric", ["accuracy", "f1", "mcc", "pearson", "spearman"])
def test_every_resample_has_the_metric_of_what_was_drawn(few, metric):
    random, examples = np.random.default_rng(0), 53
    classes = metric in KINDS
    labels = random.integers(3 if classes else 6, size=examples).astype(float)
    noise = random.normal(size=(2, examples))
    runs = np.where(noise > 0.5, labels[::-1], labels) if classes else np.round(labels + noise, 1)
    found = resampled_metrics("quora", metric, labels, runs, 3)
    assert found.shape == (2, 7)
    weights = np.concatenate(list(resample_weights("quora", examples))).astype(int)
    assert weights.sum(axis=1).tolist() == [examples] * 7
    kind = KINDS.get(metric, "regression")
    for number, drawn in enumerate(weights):
        rows = np.repeat(np.arange(examples), drawn)
        wanted = [task_metrics(kind, run[rows], labels[rows], 3)[metric] for run in runs]
        assert found[:, number].tolist() == pytest.approx(wanted)


def test_resamples_are_the_same_for_all_runs_and_other_for_other_tasks(few):
    one, again, other = (next(resample_weights(t, 20)) for t in ("sst", "sst", "sts"))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


@pytest.mark.parametrize("metric", ["pearson", "spearman", "mcc", "f1"])
def test_constant_answers_have_no_correlation(few, metric):
    labels = np.array([0.0, 1, 1, 0, 1])
    found = resampled_metrics("x", metric, labels, np.zeros((1, 5)), 2)
    assert np.isfinite(found).all()
    if metric != "f1":
        assert (found == 0).all()
