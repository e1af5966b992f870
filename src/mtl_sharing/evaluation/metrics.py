"""Figures of merit of one task's predictions (scikit-learn and scipy)."""

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

CORRELATIONS = ("pearson", "spearman")


def task_metrics(kind: str, predicted: Values, labels: Values, classes: int) -> dict[str, Any]:
    """Every figure for one task.

    Precision, recall and F1 are macro averages; by class they stand under ``by_class``. Those of
    a regression task are taken on values rounded to whole classes.

    Args:
        kind: ``classes``, ``binary`` or ``regression``.
        predicted: predictions in label units, shape (E,).
        labels: shape (E,).
        classes: number of classes; ignored for regression.
    """
    found: dict[str, Any] = {}
    names = list(range(classes))
    if kind == "regression":
        found = {name: correlation(name, predicted, labels) for name in CORRELATIONS}
        predicted, labels = whole_classes(predicted, labels)
        names = [int(value) for value in np.unique(labels)]
    return found | _class_metrics(predicted, labels, names)


def whole_classes(predicted: Values, labels: Values) -> tuple[Values, Values]:
    """A regression's predictions and labels rounded to whole classes, within the labels' range."""
    low, high = np.floor(labels.min()), np.ceil(labels.max())
    return np.clip(np.floor(predicted + 0.5), low, high), np.floor(labels + 0.5)


def _class_metrics(predicted: Values, labels: Values, names: list[int]) -> dict[str, Any]:
    from sklearn.metrics import matthews_corrcoef, precision_recall_fscore_support

    truth, guess = labels.astype(int), predicted.astype(int)
    by_class = precision_recall_fscore_support(truth, guess, labels=names, zero_division=0)
    figures = ("precision", "recall", "f1")
    each = dict(zip(figures, by_class[:3], strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a single class in a small sample: 0 by definition
        mcc = float(matthews_corrcoef(truth, guess))
    return {
        "accuracy": float(np.mean(truth == guess)),
        **{name: float(np.mean(values)) for name, values in each.items()},
        "mcc": mcc,
        "by_class": {
            str(label): {name: float(values[i]) for name, values in each.items()}
            for i, label in enumerate(names)
        },
    }


def correlation(name: str, predicted: Values, labels: Values) -> float:
    """Pearson's or Spearman's correlation; 0 where one side is constant, which has none."""
    if len(labels) < 2 or np.ptp(predicted) == 0 or np.ptp(labels) == 0:
        return 0.0
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nearly constant predictions of an untrained model
        function: Any = stats.pearsonr if name == "pearson" else stats.spearmanr
        value = float(function(predicted, labels).statistic)
    return value if np.isfinite(value) else 0.0


def floor(metric: str, kind: str, labels: Values, classes: int) -> float:
    """What the best constant answer gets in ``metric``."""
    return 0.0 if metric in CORRELATIONS else _floor(metric, kind, labels.tobytes(), classes)


# Every evaluation of a run asks for the floors of the same labels.
@lru_cache(maxsize=32)
def _floor(metric: str, kind: str, content: bytes, classes: int) -> float:
    labels = np.frombuffer(content)
    answers = np.unique(labels)
    constant = [np.full(len(labels), answer) for answer in answers]
    return max(float(task_metrics(kind, c, labels, classes)[metric]) for c in constant)


def unit(metric: str, value: float) -> float:
    """A metric on the scale from 0 to 1: correlations as ``(r + 1) / 2``, others as they are."""
    return (value + 1) / 2 if metric in CORRELATIONS else value
