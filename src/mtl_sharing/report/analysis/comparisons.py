"""Paired comparisons of two groups on the same seeds and dev examples."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from mtl_sharing.evaluation.metrics import correlation
from mtl_sharing.report.analysis.predictions import RunPredictions, TaskPredictions
from mtl_sharing.report.analysis.statistics import (
    Difference,
    Values,
    holm,
    mcnemar,
    paired_bootstrap,
    williams,
)
from mtl_sharing.report.inputs.groups import Group, baseline_of
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.score.performance import scale

PERFORMANCE = "performance"
BOOTSTRAP_EXAMPLES = "paired bootstrap over examples"
BOOTSTRAP = "paired bootstrap over examples and seeds"
MCNEMAR, WILLIAMS = "McNemar, exact", "Williams"
_FEW_SEEDS = {1: "one seed: nothing is said of other seeds", 2: "two seeds hardly show a spread"}
ALL_PAIRS = 6
"""Up to this many groups, every pair is compared; of more, each with its baseline only."""


@dataclass(frozen=True)
class Comparison:
    """The difference of two groups in one quantity.

    Attributes:
        group, other: labels; differences are the first group's value minus the second's.
        against_baseline: whether the second group is separate models with equal settings.
        quantity: a task, or ``performance``.
        metric: name of the task's metric; correlations enter performance as (r + 1) / 2.
        difference: with its interval and p-value; None without a test.
        seed: the seed of a comparison on one of several seeds; else None.
        adjusted: p-value after Holm's correction over all comparisons of this quantity and seed
            with a baseline; None for other pairs.
        note: why there is no test, or what it does not show.
    """

    group: str
    other: str
    against_baseline: bool
    quantity: str
    metric: str
    seeds: tuple[int, ...]
    examples: int
    difference: Difference | None
    test: str
    seed: int | None = None
    adjusted: float | None = None
    note: str = ""


@dataclass(frozen=True)
class _Pair:
    """Two groups on their common seeds."""

    group: Group
    other: Group
    seeds: tuple[int, ...]
    predictions: RunPredictions

    def runs(self, seed: int) -> tuple[Run, Run]:
        return self.group.by_seed()[seed], self.other.by_seed()[seed]

    def of_seed(self, task: str, seed: int) -> tuple[TaskPredictions, TaskPredictions]:
        run, other = self.runs(seed)
        return self.predictions.by_task(run)[task], self.predictions.by_task(other)[task]

    def problem(self, task: str) -> str:
        """Why a task cannot be compared; empty if it can."""
        runs = [run for seed in self.seeds for run in self.runs(seed)]
        if any(task not in run.result["tasks"] for run in runs):
            return "not a task of both"
        if len({run.result["tasks"][task]["metric"] for run in runs}) > 1:
            return "measured by different metrics"
        for run in runs:
            if task not in self.predictions.by_task(run):
                return f"no predictions of {run.name}"
        digests = {self.predictions.by_task(run)[task].examples for run in runs}
        return "different dev examples" if len(digests) > 1 else ""

    def metric(self, task: str) -> str:
        return str(self.runs(self.seeds[0])[0].result["tasks"][task]["metric"])

    def examples(self, task: str) -> int:
        return len(self.of_seed(task, self.seeds[0])[0].labels)

    def observed(self, task: str) -> Values:
        """The first group's metric minus the second's, shape (S,)."""
        pairs = [[run.result["tasks"][task]["value"] for run in self.runs(s)] for s in self.seeds]
        return np.array([value - other for value, other in pairs])

    def resampled(self, task: str) -> Values:
        """The same difference in every resample of the examples, shape (S, B)."""
        pairs = [[self.predictions.resampled(r, task) for r in self.runs(s)] for s in self.seeds]
        return np.stack([values - other for values, other in pairs])


def compare(group: Group, other: Group, predictions: RunPredictions) -> list[Comparison]:
    """Compares performance, then each task, with several seeds also by exact tests of each."""
    seeds = tuple(sorted(set(group.seeds) & set(other.seeds)))
    pair = _Pair(group, other, seeds, predictions)
    separate = other.separate and not group.separate
    against = separate and baseline_of(group, [other]) is other
    blank = Comparison(group.label, other.label, against, PERFORMANCE, "", seeds, 0, None, "")
    if not seeds:
        return [replace(blank, note="no seed that both have")]
    problems = {task: pair.problem(task) for task in dict.fromkeys((*group.tasks, *other.tasks))}
    comparisons = [_overall(pair, blank, problems)]
    for task, problem in problems.items():
        if problem:
            comparisons.append(replace(blank, quantity=task, note=problem))
        else:
            comparisons.append(_of_task(pair, blank, task))
            comparisons += _of_each_seed(pair, blank, task) if len(seeds) > 1 else []
    return comparisons


def _overall(pair: _Pair, blank: Comparison, problems: dict[str, str]) -> Comparison:
    blank = replace(blank, metric="mean over tasks")
    if notes := [f"{task}: {problem}" for task, problem in problems.items() if problem]:
        return replace(blank, note=notes[0])
    scales = {task: scale(pair.metric(task)) for task in problems}
    observed = np.mean([s * pair.observed(task) for task, s in scales.items()], axis=0)
    resampled = np.mean([s * pair.resampled(task) for task, s in scales.items()], axis=0)
    examples = sum(pair.examples(task) for task in problems)
    return _bootstrapped(replace(blank, examples=examples), observed, resampled)


def _of_task(pair: _Pair, blank: Comparison, task: str) -> Comparison:
    blank = replace(blank, quantity=task, metric=pair.metric(task), examples=pair.examples(task))
    comparison = _bootstrapped(blank, pair.observed(task), pair.resampled(task))
    exact = _exact(pair, task, pair.seeds[0]) if len(pair.seeds) == 1 else None
    if exact is None or comparison.difference is None:
        return comparison
    test, p = exact
    return replace(comparison, test=test, difference=replace(comparison.difference, p=p))


def _of_each_seed(pair: _Pair, blank: Comparison, task: str) -> Iterator[Comparison]:
    for seed in pair.seeds:
        if _exact(pair, task, seed) is not None:
            alone = replace(pair, seeds=(seed,))
            yield _of_task(alone, replace(blank, seeds=(seed,), seed=seed), task)


def _bootstrapped(blank: Comparison, observed: Values, resampled: Values) -> Comparison:
    note = _FEW_SEEDS.get(len(observed), "")
    test = BOOTSTRAP_EXAMPLES if len(observed) == 1 else BOOTSTRAP
    return replace(blank, difference=paired_bootstrap(observed, resampled), test=test, note=note)


def _exact(pair: _Pair, task: str, seed: int) -> tuple[str, float] | None:
    """Name and p-value of the exact test of one seed; None if the metric has none."""
    own, other = pair.of_seed(task, seed)
    metric = pair.metric(task)
    if metric == "accuracy":
        return MCNEMAR, mcnemar(own.predictions == own.labels, other.predictions == other.labels)
    if metric == "pearson" and len(own.labels) > 3:
        sides = (own, own.labels), (other, other.labels), (own, other.predictions)
        r = [correlation("pearson", side.predictions, values) for side, values in sides]
        return WILLIAMS, williams(r[0], r[1], r[2], len(own.labels))[1]
    return None


def compare_all(groups: Sequence[Group], predictions: RunPredictions) -> list[Comparison]:
    """Compares every group with its baseline, and up to :data:`ALL_PAIRS` groups with each other.

    The p-values against a baseline have Holm's correction, separately for each quantity.
    """
    baselines = {group.label: baseline_of(group, groups) for group in groups}
    pairs = [(g, b) for g in groups if (b := baselines[g.label]) is not None and b is not g]
    if len(groups) <= ALL_PAIRS:
        pairs += [
            (other, group) for group, other in combinations(groups, 2)
            if baselines[other.label] is not group and baselines[group.label] is not other
        ]  # fmt: skip
    return _corrected([c for group, other in pairs for c in compare(group, other, predictions)])


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    families: dict[tuple[str, int | None], dict[int, float]] = defaultdict(dict)
    for index, comparison in enumerate(comparisons):
        if comparison.against_baseline and comparison.difference is not None:
            families[comparison.quantity, comparison.seed][index] = comparison.difference.p
    adjusted: dict[int, float] = {}
    for family in families.values():
        adjusted |= dict(zip(family, holm(list(family.values())), strict=True))
    return [replace(c, adjusted=adjusted.get(index)) for index, c in enumerate(comparisons)]
