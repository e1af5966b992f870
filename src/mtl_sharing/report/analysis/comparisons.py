"""Two groups held against each other: same seeds, same dev examples, each test with its name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from mtl_sharing.evaluation.metrics import correlation, unit
from mtl_sharing.report.analysis.predictions import RunPredictions
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

PERFORMANCE = "performance"
BOOTSTRAP_EXAMPLES = "paired bootstrap over examples"
BOOTSTRAP = "paired bootstrap over examples and seeds"
MCNEMAR, WILLIAMS = "McNemar, exact", "Williams"
_FEW_SEEDS = {1: "one seed: nothing is said of other seeds", 2: "two seeds hardly show a spread"}
# As many groups as have every pair of them compared, and not with the baseline alone.
_FEW = 6


@dataclass(frozen=True)
class Comparison:
    """One figure of two groups.

    Attributes:
        group, other: their labels; differences are the first's minus the second's.
        against_baseline: whether the second is separate models with equal settings.
        figure: a task, or ``performance``.
        metric: what it is measured by; correlations enter performance as (r + 1) / 2.
        seeds: that both have.
        seed: the one that this comparison is of, where several have one each; else None.
        examples: dev examples.
        difference: with its interval and p-value; None where there is no test.
        test: its name, or empty.
        adjusted: the p-value after Holm's correction, for as many comparisons with the baseline
            as there are of this figure (of each seed alone: with that seed); None for other pairs.
        note: why there is no test, or what it does not say.
    """

    group: str
    other: str
    against_baseline: bool
    figure: str
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
    """Two groups on the seeds that both have, and for each task what was resampled.

    Attributes:
        observed: the first's metric minus the second's, on the unit scale, by task, shape (S,).
        resampled: the same in every resample, shape (S, B).
    """

    group: Group
    other: Group
    seeds: tuple[int, ...]
    evidence: RunPredictions

    def runs(self, seed: int) -> tuple[Run, Run]:
        return self.group.by_seed()[seed], self.other.by_seed()[seed]

    def trouble(self, task: str) -> str:
        """Why a task cannot be compared; empty where it can."""
        runs = [run for seed in self.seeds for run in self.runs(seed)]
        if any(task not in run.result["tasks"] for run in runs):
            return "not a task of both"
        if len({run.result["tasks"][task]["metric"] for run in runs}) > 1:
            return "measured by different metrics"
        lacking = [run.name for run in runs if task not in self.evidence.answers(run)]
        if lacking:
            return f"no predictions of {lacking[0]}"
        found = {self.evidence.answers(run)[task].examples for run in runs}
        return "different dev examples" if len(found) > 1 else ""

    def metric(self, task: str) -> str:
        return str(self.runs(self.seeds[0])[0].result["tasks"][task]["metric"])

    def examples(self, task: str) -> int:
        return len(self.evidence.answers(self.runs(self.seeds[0])[0])[task].labels)

    def observed(self, task: str) -> Values:
        pairs = [[run.result["tasks"][task]["value"] for run in self.runs(s)] for s in self.seeds]
        return np.array([one - other for one, other in pairs])

    def resampled(self, task: str) -> Values:
        each = [[self.evidence.resampled(run, task) for run in self.runs(s)] for s in self.seeds]
        return np.stack([one - other for one, other in each])

    def scale(self, task: str) -> float:
        """How much a task's metric counts in its unit value: correlations half."""
        metric = self.metric(task)
        return unit(metric, 1.0) - unit(metric, 0.0)


def compare(group: Group, other: Group, evidence: RunPredictions) -> list[Comparison]:
    """Performance, then each task, then with several seeds the exact tests of each of them."""
    seeds = tuple(sorted(set(group.seeds) & set(other.seeds)))
    pair = _Pair(group, other, seeds, evidence)
    separate = other.separate and not group.separate
    against = separate and baseline_of(group, [other]) is other
    blank = Comparison(group.label, other.label, against, "", "", seeds, 0, None, "")
    if not seeds:
        return [replace(blank, figure=PERFORMANCE, note="no seed that both have")]
    tasks = tuple(dict.fromkeys((*group.tasks, *other.tasks)))
    troubles = {task: pair.trouble(task) for task in tasks}
    found = [_overall(pair, blank, troubles)]
    for task in tasks:
        if troubles[task]:
            found.append(replace(blank, figure=task, note=troubles[task]))
        else:
            found.append(_of_task(pair, blank, task))
            found += _of_each_seed(pair, blank, task) if len(seeds) > 1 else []
    return found


def _overall(pair: _Pair, blank: Comparison, troubles: dict[str, str]) -> Comparison:
    blank = replace(blank, figure=PERFORMANCE, metric="mean over tasks")
    for task, trouble in troubles.items():
        if trouble:
            return replace(blank, note=f"{task}: {trouble}")
    observed = np.mean([pair.scale(task) * pair.observed(task) for task in troubles], axis=0)
    resampled = np.mean([pair.scale(task) * pair.resampled(task) for task in troubles], axis=0)
    examples = sum(pair.examples(task) for task in troubles)
    return _bootstrapped(replace(blank, examples=examples), observed, resampled)


def _of_task(pair: _Pair, blank: Comparison, task: str) -> Comparison:
    blank = replace(blank, figure=task, metric=pair.metric(task), examples=pair.examples(task))
    found = _bootstrapped(blank, pair.observed(task), pair.resampled(task))
    exact = _exact(pair, task, pair.seeds[0]) if len(pair.seeds) == 1 else None
    if exact is None or found.difference is None:
        return found
    test, p = exact
    return replace(found, test=test, difference=replace(found.difference, p=p))


def _of_each_seed(pair: _Pair, blank: Comparison, task: str) -> Iterator[Comparison]:
    for seed in pair.seeds:
        if _exact(pair, task, seed) is not None:
            yield _of_task(
                replace(pair, seeds=(seed,)), replace(blank, seeds=(seed,), seed=seed), task
            )


def _bootstrapped(blank: Comparison, observed: Values, resampled: Values) -> Comparison:
    note = _FEW_SEEDS.get(len(observed), "")
    test = BOOTSTRAP_EXAMPLES if len(observed) == 1 else BOOTSTRAP
    return replace(blank, difference=paired_bootstrap(observed, resampled), test=test, note=note)


def _exact(pair: _Pair, task: str, seed: int) -> tuple[str, float] | None:
    """Name and p-value of the test of one seed; None for a metric that has none."""
    one, other = (pair.evidence.answers(run)[task] for run in pair.runs(seed))
    metric = pair.metric(task)
    if metric == "accuracy":
        right = [answers.predictions == answers.labels for answers in (one, other)]
        return MCNEMAR, mcnemar(right[0], right[1])
    if metric == "pearson" and len(one.labels) > 3:
        pairs = (one, one.labels), (other, other.labels), (one, other.predictions)
        r = [correlation("pearson", answers.predictions, values) for answers, values in pairs]
        return WILLIAMS, williams(r[0], r[1], r[2], len(one.labels))[1]
    return None


def compare_all(groups: Sequence[Group], evidence: RunPredictions) -> list[Comparison]:
    """Every group with its baseline; of few groups every other pair as well.

    The p-values against a baseline are corrected by Holm, those of each figure together.
    """
    baselines = {group.label: baseline_of(group, groups) for group in groups}
    first = [(g, b) for g in groups if (b := baselines[g.label]) is not None and b is not g]
    rest = [
        (other, group) for group, other in combinations(groups, 2)
        if baselines[other.label] is not group and baselines[group.label] is not other
    ]  # fmt: skip
    pairs = first + (rest if len(groups) <= _FEW else [])
    return _corrected([each for a, b in pairs for each in compare(a, b, evidence)])


def _corrected(found: Sequence[Comparison]) -> list[Comparison]:
    families: dict[tuple[str, int | None], dict[int, float]] = {}
    for place, each in enumerate(found):
        if each.against_baseline and each.difference is not None:
            family = families.setdefault((each.figure, each.seed), {})
            family[place] = each.difference.p
    adjusted: dict[int, float] = {}
    for family in families.values():
        adjusted |= dict(zip(family, holm(list(family.values())), strict=True))
    return [replace(each, adjusted=adjusted.get(place)) for place, each in enumerate(found)]
