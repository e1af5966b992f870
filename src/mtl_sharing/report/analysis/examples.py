"""Single dev examples: the worst of each task, confusions, and where two groups part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.evaluation.metrics import CORRELATIONS, whole_classes
from mtl_sharing.report.analysis.predictions import RunPredictions
from mtl_sharing.report.analysis.statistics import Values
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import Run

if TYPE_CHECKING:
    import pandas as pd

_FACTS = ["id", "text", "text_pair", "label"]


def is_regression(group: Group, task: str) -> bool:
    """Whether the task's predictions are values, not classes."""
    return CORRELATIONS[0] in group.runs[0].result["tasks"][task]


def usable_runs(group: Group, task: str, evidence: RunPredictions) -> list[Run]:
    """One run of each seed that has answers to the same examples as the first that has any."""
    runs = [run for run in group.by_seed().values() if task in evidence.answers(run)]
    examples = {run: evidence.answers(run)[task].examples for run in runs}
    return [run for run in runs if examples[run] == examples[runs[0]]]


def worst_examples(
    group: Group, task: str, evidence: RunPredictions, count: int = 10
) -> "pd.DataFrame | None":
    """The examples with the largest mean error over the group's seeds, the worst first.

    Returns:
        Columns id, text, text_pair, label, prediction (the mean for a regression, else the most
        frequent class), predictions (of each seed), probability (of the predicted class, mean),
        error (mean, see ``run/predictions.py``); None where no run has any.
    """
    tables = _tables(usable_runs(group, task, evidence), task)
    if not tables:
        return None
    errors = np.stack([table["error"].to_numpy(float) for table in tables])
    mean = errors.mean(axis=0)
    # Stable, so that equal errors stay in dev's order.
    order = np.argsort(-mean, kind="stable")[:count]
    return _described(tables, order, is_regression(group, task)).assign(error=mean[order])


def _tables(runs: Sequence[Run], task: str) -> "list[pd.DataFrame]":
    found = [run.read_predictions() for run in runs]
    return [t[t["task"] == task].reset_index(drop=True) for t in found if t is not None]


def _described(
    tables: "list[pd.DataFrame]", order: NDArray[np.int64], regression: bool
) -> "pd.DataFrame":
    found = tables[0][_FACTS].iloc[order].reset_index(drop=True)
    said = np.stack([table["prediction"].to_numpy(float)[order] for table in tables], axis=1)
    found["prediction"] = said.mean(axis=1) if regression else [_mode(row) for row in said]
    found["predictions"] = [" ".join(f"{value:.3g}" for value in row) for row in said]
    if not regression:
        each = [table["probability"].to_numpy(float)[order] for table in tables]
        found["probability"] = np.mean(each, axis=0)
    return found


def _mode(row: Values) -> float:
    values, counts = np.unique(row, return_counts=True)
    return float(values[counts.argmax()])


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often each class was answered with each.

    Attributes:
        classes: their names; a regression's whole values.
        counts: examples by label (row) and prediction (column), summed over seeds, shape (K, K).
        seeds: how many.
    """

    label: str
    task: str
    classes: tuple[str, ...]
    counts: np.ndarray
    seeds: int


def confusions(group: Group, evidence: RunPredictions) -> Iterator[Confusion]:
    """Of every task that the group's runs have answers to."""
    for task in group.tasks:
        runs = usable_runs(group, task, evidence)
        if not runs:
            continue
        each = [evidence.answers(run)[task] for run in runs]
        pairs = [(answers.labels, answers.predictions) for answers in each]
        if is_regression(group, task):
            pairs = [whole_classes(predicted, labels)[::-1] for labels, predicted in pairs]
        values = [int(value) for value in np.unique(np.concatenate([v for p in pairs for v in p]))]
        known = group.runs[0].result["tasks"][task].get("by_class", {})
        values = sorted({*values, *(int(name) for name in known if name.isdecimal())})
        counts = sum(_counts(labels, predicted, values) for labels, predicted in pairs)
        names = tuple(_names(group, task, values))
        yield Confusion(group.label, task, names, np.asarray(counts), len(runs))


def _counts(labels: Values, predicted: Values, values: Sequence[int]) -> np.ndarray:
    rows, columns = (np.searchsorted(values, each.astype(int)) for each in (labels, predicted))
    flat = np.bincount(rows * len(values) + columns, minlength=len(values) ** 2)
    return flat.reshape(len(values), len(values))


def _names(group: Group, task: str, values: Sequence[int]) -> Iterator[str]:
    config: Any = group.runs[0].settings.get("task", {}).get(task, {})
    names = config.get("labels") or []
    yield from (names[v] if 0 <= v < len(names) else str(v) for v in values)


def parting_examples(
    group: Group, other: Group, task: str, evidence: RunPredictions, count: int = 10
) -> "pd.DataFrame | None":
    """The examples that the first group has right and the other wrong, the clearest first.

    For a regression those with a smaller error in the first group.

    Returns:
        Columns id, text, text_pair, label, prediction, other prediction, and advantage: the share
        of seeds that have it right, the first group's minus the other's; for a regression the
        other's mean error minus the first's. None where the two have no examples in common.
    """
    sides = [usable_runs(each, task, evidence) for each in (group, other)]
    if not all(sides) or len({evidence.answers(s[0])[task].examples for s in sides}) > 1:
        return None
    regression = is_regression(group, task)
    gains = [_goodness(side, task, evidence, regression) for side in sides]
    advantage = gains[0] - gains[1]
    order = np.argsort(-advantage, kind="stable")[:count]
    order = order[advantage[order] > 0]
    found, theirs = (_described(_tables(s, task), order, regression) for s in sides)
    found = found[[*_FACTS, "prediction"]]
    found["other prediction"] = theirs["prediction"]
    return found.assign(advantage=advantage[order])


def _goodness(runs: Sequence[Run], task: str, evidence: RunPredictions, regression: bool) -> Values:
    """Of each example: the share of runs that have it right, or their mean error below 0."""
    each = [evidence.answers(run)[task] for run in runs]
    if regression:
        found: Values = -np.mean([np.abs(a.predictions - a.labels) for a in each], axis=0)
        return found
    share: Values = np.mean([a.predictions == a.labels for a in each], axis=0)
    return share
