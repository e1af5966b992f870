"""Figures of merit against scikit-learn and scipy called directly."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from mtl_sharing.evaluation.metrics import correlation, floor, task_metrics

RANDOM = np.random.default_rng(13)
AVERAGES = ("precision", "recall", "f1")


def classes_of(count, size=97):
    labels = RANDOM.integers(0, count, size).astype(float)
    guesses = np.where(RANDOM.random(size) < 0.5, labels, RANDOM.integers(0, count, size))
    return guesses, labels


def theirs(guesses, labels):
    """Accuracy, macro averages by scikit-learn's defaults, and MCC."""
    found = metrics.precision_recall_fscore_support(
        labels, guesses, average="macro", zero_division=0
    )
    return dict(zip(AVERAGES, found[:3], strict=True)) | {
        "accuracy": metrics.accuracy_score(labels, guesses),
        "mcc": metrics.matthews_corrcoef(labels, guesses),
    }


@pytest.mark.parametrize(("kind", "count"), [("classes", 5), ("binary", 2)])
def test_class_figures_are_scikit_learn_s(kind, count):
    guesses, labels = classes_of(count)
    found = task_metrics(kind, guesses, labels, count)
    for name, value in theirs(guesses, labels).items():
        assert found[name] == pytest.approx(value), name
    recall = metrics.recall_score(labels, guesses, labels=[1], average=None)[0]
    assert found["by_class"]["1"]["recall"] == pytest.approx(recall)
    assert list(found["by_class"]) == [str(n) for n in range(count)]
    assert found.keys() == {"accuracy", "precision", "recall", "f1", "mcc", "by_class"}


def test_a_class_that_never_occurs_is_no_part_of_the_macro_average():
    found = task_metrics("classes", np.array([0.0, 1, 1]), np.array([0.0, 1, 1]), 3)
    assert found["accuracy"] == found["f1"] == 1
    assert found["by_class"]["2"] == {"precision": None, "recall": None, "f1": None}


def test_regression_figures_are_scipy_s_and_scikit_learn_s():
    labels = RANDOM.integers(0, 26, 101) / 5
    guesses = labels + RANDOM.normal(0, 1.5, 101)
    found = task_metrics("regression", guesses, labels, 0)
    assert found["pearson"] == pytest.approx(stats.pearsonr(guesses, labels)[0])
    assert found["spearman"] == pytest.approx(stats.spearmanr(guesses, labels)[0])
    # No fifths lie half way between two classes, so every rounding agrees.
    whole, rounded = labels.round(), guesses.round().clip(0, 5)
    assert len(set(whole)) == 6
    for name, value in theirs(rounded, whole).items():
        assert found[name] == pytest.approx(value), name
    assert found.keys() >= {"accuracy", "precision", "recall", "f1", "mcc", "by_class"}


def test_halves_are_rounded_up():
    found = task_metrics("regression", np.array([0.5, 1.5, 2.5]), np.array([1.0, 2.0, 3.0]), 0)
    assert found["accuracy"] == 1


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_a_constant_side_has_no_correlation(name):
    varied, constant = np.array([1.0, 2.0, 4.0]), np.full(3, 0.1)
    assert correlation(name, constant, varied) == 0
    assert correlation(name, varied, constant) == 0
    assert correlation(name, varied[:1], varied[:1]) == 0
    assert correlation(name, varied, varied**2) > 0.9


@pytest.mark.parametrize("metric", ["accuracy", "f1", "mcc"])
@pytest.mark.parametrize("count", [2, 5])
def test_the_floor_is_the_best_constant_answer(metric, count):
    labels = RANDOM.choice(count, 61, p=np.arange(1, count + 1) / sum(range(1, count + 1)))
    best = max(theirs(np.full(61, answer), labels)[metric] for answer in range(count))
    assert floor(metric, "classes", labels.astype(float), count) == pytest.approx(best)


def test_the_floor_of_a_correlation_is_nothing():
    assert floor("pearson", "regression", np.array([1.0, 2.0]), 0) == 0
    assert floor("spearman", "regression", np.array([1.0, 2.0]), 0) == 0
