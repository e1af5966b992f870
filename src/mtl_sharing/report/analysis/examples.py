"""Single dev examples: the worst of each task, confusions, and where two groups disagree."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.evaluation.metrics import whole_classes
from mtl_sharing.report.analysis.predictions import RunPredictions, TaskPredictions
from mtl_sharing.report.analysis.statistics import Values
from mtl_sharing.report.analysis.values import class_name, class_names, is_regression
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import Run

if TYPE_CHECKING:
    import pandas as pd

_CLASS = re.compile(r"[0-9]{1,9}")
_EXAMPLE = ["id", "text", "text_pair", "label"]


def usable_runs(group: Group, task: str, predictions: RunPredictions) -> list[Run]:
    """One run of each seed that has predictions for the same examples as the first such run."""
    runs = [run for run in group.by_seed().values() if task in predictions.by_task(run)]
    examples = {run: predictions.by_task(run)[task].examples for run in runs}
    return [run for run in runs if examples[run] == examples[runs[0]]]


def worst_examples(
    group: Group, task: str, predictions: RunPredictions, count: int = 10
) -> "pd.DataFrame":
    """The wrong examples with the largest mean error over the group's seeds, the worst first.

    One that most seeds predict right is none, however unsure they are.

    Returns:
        Columns group, task, id, text, text_pair, label, prediction (the mean of a regression, else
        the most frequent class), predictions (of each seed), probability (of the predicted class,
        mean), error (mean, see ``evaluation/evaluate.py``); no row without predictions.
    """
    import pandas as pd

    tables = _tables(usable_runs(group, task, predictions), task)
    if not tables:
        return pd.DataFrame()
    errors = np.stack([table["error"].to_numpy(float) for table in tables])
    mean = errors.mean(axis=0)
    # Stable, so that equal errors keep the order of dev.
    order = np.argsort(-mean, kind="stable")
    order = order[_is_wrong(group, task, tables)[order]][:count]
    return _described(group, task, tables, order).assign(error=mean[order])


def _tables(runs: Sequence[Run], task: str) -> "list[pd.DataFrame]":
    tables = [table.to_pandas() for run in runs if (table := run.predictions_table()) is not None]
    return [table[table["task"] == task].reset_index(drop=True) for table in tables]


def _is_wrong(group: Group, task: str, tables: "list[pd.DataFrame]") -> NDArray[np.bool_]:
    """The examples whose most frequent prediction is not their label, shape (E,)."""
    labels = tables[0]["label"].to_numpy(float)
    values = np.stack([table["prediction"].to_numpy(float) for table in tables], axis=1)
    predicted = values.mean(axis=1) if is_regression(group, task) else _modes(values)
    return np.asarray(predicted != labels)


def _described(
    group: Group, task: str, tables: "list[pd.DataFrame]", order: NDArray[np.int64]
) -> "pd.DataFrame":
    regression = is_regression(group, task)
    frame = tables[0][["task", *_EXAMPLE]].iloc[order].reset_index(drop=True)
    frame.insert(0, "group", group.label)
    values = np.stack([table["prediction"].to_numpy(float)[order] for table in tables], axis=1)
    frame["prediction"] = values.mean(axis=1) if regression else _modes(values)
    frame["predictions"] = [", ".join(f"{value:.3g}" for value in row) for row in values]
    if not regression and class_names(group, task):
        _name_classes(frame, group, task, values)
    if not regression:
        probabilities = [table["probability"].to_numpy(float)[order] for table in tables]
        frame["probability"] = np.mean(probabilities, axis=0)
    return frame


def _name_classes(frame: "pd.DataFrame", group: Group, task: str, values: Values) -> None:
    """Replaces the numbers of classes by their names."""
    for column in ("label", "prediction"):
        frame[column] = [class_name(group, task, int(number)) for number in frame[column]]
    frame["predictions"] = [
        ", ".join(class_name(group, task, int(number)) for number in row) for row in values
    ]


def _modes(values: Values) -> Values:
    """The most frequent value of each row, the smallest of several, shape (E,)."""
    from scipy.stats import mode

    return np.asarray(mode(values, axis=1).mode)


@dataclass(frozen=True, eq=False)
class Confusion:
    """The confusion matrix of a group on a task; the classes of a regression are whole values.

    ``counts`` are examples by label (row) and prediction (column), summed over seeds, shape (K, K).
    """

    label: str
    task: str
    classes: tuple[str, ...]
    counts: np.ndarray
    seeds: int
    rounded: bool = False


def confusions(group: Group, predictions: RunPredictions) -> Iterator[Confusion]:
    """The confusion matrix of every task that the group has predictions for."""
    for task in group.tasks:
        runs = usable_runs(group, task, predictions)
        if not runs:
            continue
        of_runs = [predictions.by_task(run)[task] for run in runs]
        pairs = [(of_run.labels, of_run.predictions) for of_run in of_runs]
        if is_regression(group, task):
            pairs = [whole_classes(predicted, labels)[::-1] for labels, predicted in pairs]
        by_class = group.runs[0].result["tasks"][task].get("by_class") or {}
        classes = {int(value) for pair in pairs for values in pair for value in np.unique(values)}
        ordered = sorted(classes | {int(name) for name in by_class if _CLASS.fullmatch(name)})
        counts = np.sum([_counts(*pair, ordered) for pair in pairs], axis=0)
        names = tuple(class_name(group, task, number) for number in ordered)
        rounded = is_regression(group, task)
        yield Confusion(group.label, task, names, counts, len(runs), rounded)


def _counts(labels: np.ndarray, predicted: np.ndarray, classes: list[int]) -> np.ndarray:
    """Examples of each label (row) with each prediction (column)."""
    import pandas as pd

    # scikit-learn's function warns of a single class, which a small dev set may have.
    table = pd.crosstab(labels, predicted)
    counts: np.ndarray = table.reindex(index=classes, columns=classes, fill_value=0).to_numpy()
    return counts


def parting_examples(
    group: Group, other: Group, task: str, predictions: RunPredictions, count: int = 10
) -> "pd.DataFrame":
    """The examples that the first group predicts better than the other, the clearest first.

    The most frequent prediction of the other is wrong.

    Returns:
        Columns group, task, id, text, text_pair, label, prediction, prediction of (the other), and
        advantage: the share of seeds with a right prediction, the first group's minus the other's;
        for a regression the other's mean error minus the first's. No row without common examples.
    """
    import pandas as pd

    sides = [usable_runs(side, task, predictions) for side in (group, other)]
    if not all(sides) or len({predictions.by_task(s[0])[task].examples for s in sides}) > 1:
        return pd.DataFrame()
    of_runs = [[predictions.by_task(run)[task] for run in runs] for runs in sides]
    quality = [_quality(of_side, is_regression(group, task)) for of_side in of_runs]
    advantage = quality[0] - quality[1]
    order = np.argsort(-advantage, kind="stable")
    tables = [_tables(runs, task) for runs in sides]
    wrong = _is_wrong(other, task, tables[1])
    order = order[((advantage > 0) & wrong)[order]][:count]
    frame, others = (_described(group, task, of_side, order) for of_side in tables)
    frame = frame[["group", "task", *_EXAMPLE, "prediction"]]
    frame[f"prediction of {other.label}"] = others["prediction"]
    return frame.assign(advantage=advantage[order])


def _quality(of_runs: Sequence[TaskPredictions], regression: bool) -> Values:
    """The share of runs with a right prediction, or the negative mean error, shape (E,)."""
    if regression:
        return -np.mean([np.abs(r.predictions - r.labels) for r in of_runs], axis=0)
    return np.mean([r.predictions == r.labels for r in of_runs], axis=0)
