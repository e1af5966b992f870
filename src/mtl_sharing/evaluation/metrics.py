"""Metrics of one task's predictions (scikit-learn and scipy)."""

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.score.performance import CORRELATIONS

Values = NDArray[np.float64]
AVERAGES = ("precision", "recall", "f1")


def task_metrics(kind: str, predicted: Values, labels: Values, classes: int) -> dict[str, Any]:
    """All metrics of one task.

    Precision, recall and F1 are macro averages over the classes that labels or predictions have, as
    scikit-learn takes them by default. ``by_class`` holds those of single classes, None for a class
    that neither has. For regression the metrics of classes are taken on values rounded to whole
    classes. A metric without a value is 0: see :func:`undefined_metrics`.

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
    present = sorted({*truth.tolist(), *guess.tolist()})
    scores = precision_recall_fscore_support(truth, guess, labels=present, zero_division=0)
    by_class = dict(zip(AVERAGES, scores[:3], strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a single class in a small sample: 0 by definition
        mcc = float(matthews_corrcoef(truth, guess))
    return {
        "accuracy": float(np.mean(truth == guess)),
        **{name: float(np.mean(values)) for name, values in by_class.items()},
        "mcc": mcc,
        "by_class": {
            str(label): {
                name: float(values[present.index(label)]) if label in present else None
                for name, values in by_class.items()
            }
            for label in sorted({*names, *present})
        },
    }


def undefined_metrics(kind: str, predicted: Values, labels: Values) -> dict[str, str]:
    """Why a metric of a task has no value of its own and counts as 0, by the metric's name.

    The metrics of a regression's rounded values are left out. Arguments as for
    :func:`task_metrics`.
    """
    constant = [
        f"all {len(values):,} {name} are {values[0]:g}"
        for name, values in (("labels", labels), ("predictions", predicted))
        if np.ptp(values) == 0
    ]
    if kind == "regression":
        why = "1 example alone" if len(labels) < 2 else " and ".join(constant)
        return dict.fromkeys(CORRELATIONS, f"{why}, counts as 0") if why else {}
    classes, guessed = (set(values.astype(int).tolist()) for values in (labels, predicted))
    reasons = {
        "precision": (classes - guessed, "never predicted"),
        "recall": (guessed - classes, "in no label"),
    }
    return {
        name: f"class {', '.join(map(str, sorted(some)))} {text}, counts as 0"
        for name, (some, text) in reasons.items()
        if some
    } | ({"mcc": f"{' and '.join(constant)}, counts as 0"} if constant else {})


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
