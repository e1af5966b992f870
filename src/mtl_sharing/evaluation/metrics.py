"""Metrics of one task's predictions (scikit-learn and scipy)."""

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

CORRELATIONS = ("pearson", "spearman")


def task_metrics(kind: str, predicted: Values, labels: Values, classes: int) -> dict[str, Any]:
    """All metrics of one task.

    Precision, recall and F1 are macro averages; ``by_class`` holds those of single classes. For
    regression the metrics of classes are taken on values rounded to whole classes.

    Args:
        kind: ``classes``, ``binary`` or ``regression``.
        predicted: predictions in label units, shape (E,).
        labels: shape (E,).
        classes: number of classes; ignored for regression.
    """
    if kind != "regression":
        return _class_metrics(predicted, labels, list(range(classes)))
    correlations = {name: correlation(name, predicted, labels) for name in CORRELATIONS}
    predicted, labels = whole_classes(predicted, labels)
    return correlations | _class_metrics(predicted, labels, np.unique(labels).astype(int).tolist())


def whole_classes(predicted: Values, labels: Values) -> tuple[Values, Values]:
    """Rounds predictions and labels to whole classes within the labels' range; halves go up."""
    low, high = np.floor(labels.min()), np.ceil(labels.max())
    return np.clip(np.floor(predicted + 0.5), low, high), np.floor(labels + 0.5)


def _class_metrics(predicted: Values, labels: Values, names: list[int]) -> dict[str, Any]:
    from sklearn.metrics import matthews_corrcoef, precision_recall_fscore_support

    truth, guess = labels.astype(int), predicted.astype(int)
    scores = precision_recall_fscore_support(truth, guess, labels=names, zero_division=0)
    by_class = dict(zip(("precision", "recall", "f1"), scores[:3], strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a single class in a small sample: 0 by definition
        mcc = float(matthews_corrcoef(truth, guess))
    return {
        "accuracy": float(np.mean(truth == guess)),
        **{name: float(np.mean(values)) for name, values in by_class.items()},
        "mcc": mcc,
        "by_class": {
            str(label): {name: float(values[i]) for name, values in by_class.items()}
            for i, label in enumerate(names)
        },
    }


def correlation(name: str, predicted: Values, labels: Values) -> float:
    """Pearson's or Spearman's correlation; 0 if one side is constant."""
    if len(labels) < 2 or np.ptp(predicted) == 0 or np.ptp(labels) == 0:
        return 0.0
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nearly constant predictions of an untrained model
        function: Any = stats.pearsonr if name == "pearson" else stats.spearmanr
        value = float(function(predicted, labels).statistic)
    return value if np.isfinite(value) else 0.0


def floor(metric: str, kind: str, labels: Values, classes: int) -> float:
    """The best value of ``metric`` that a constant prediction reaches."""
    return 0.0 if metric in CORRELATIONS else _floor(metric, kind, labels.tobytes(), classes)


# Cached: every evaluation of a run needs the floors of the same labels.
@lru_cache(maxsize=32)
def _floor(metric: str, kind: str, content: bytes, classes: int) -> float:
    labels = np.frombuffer(content)
    constants = [np.full(len(labels), value) for value in np.unique(labels)]
    return max(float(task_metrics(kind, c, labels, classes)[metric]) for c in constants)


def unit(metric: str, value: float) -> float:
    """A metric on the scale from 0 to 1: correlations as ``(r + 1) / 2``, others as they are."""
    return (value + 1) / 2 if metric in CORRELATIONS else value
