"""Two groups held against each other."""

import numpy as np
import pytest
from scipy import stats

from mtl_sharing.report.analysis import comparisons
from mtl_sharing.report.analysis.comparisons import BOOTSTRAP, compare, compare_all
from mtl_sharing.report.analysis.predictions import RunPredictions
from mtl_sharing.report.inputs.groups import make_groups
from mtl_sharing.report.inputs.runs import read_runs
from report_runs import change_json, shifted

TASKS = ["sst", "quora", "sts"]


def groups_in(folder):
    return make_groups(read_runs([folder]).runs)


@pytest.fixture
def pair(make_run):
    """Separate models and a hybrid on one seed each."""
    make_run("base", answers=shifted(1))
    make_run("hybrid", "S6-I6", answers=shifted(2))
    return groups_in(make_run.top)


def test_one_seed_has_the_exact_tests(pair):
    base, hybrid = pair
    found = {each.quantity: each for each in compare(hybrid, base, RunPredictions.of(pair))}
    assert list(found) == ["performance", *TASKS]
    ours, theirs = (g.runs[0].predictions_table().to_pandas() for g in (hybrid, base))
    for task in TASKS:
        a, b = (t[t["task"] == task] for t in (ours, theirs))
        each = found[task]
        assert each.examples == 30 and each.seeds == (0,) and "one seed" in each.note
        if task == "sts":
            assert each.test == "Williams"
            r = stats.pearsonr(a["prediction"], a["label"]).statistic
            other = stats.pearsonr(b["prediction"], b["label"]).statistic
            assert each.difference.mean == pytest.approx(r - other)
        else:
            one, two = (t["prediction"].to_numpy() == t["label"].to_numpy() for t in (a, b))
            assert each.test == "McNemar, exact"
            counts = (one & ~two).sum(), (two & ~one).sum()
            wanted = stats.binomtest(int(counts[0]), int(sum(counts))).pvalue
            assert each.difference.p == pytest.approx(wanted)
            assert each.difference.mean == pytest.approx(one.mean() - two.mean())
    overall = found["performance"]
    parts = [found[t].difference.mean * (0.5 if t == "sts" else 1) for t in TASKS]
    assert overall.difference.mean == pytest.approx(np.mean(parts))
    assert overall.examples == 90 and overall.test == "paired bootstrap over examples"
    assert all(each.against_baseline for each in found.values())


def test_several_seeds_are_tested_together_and_each(make_run):
    for seed in (3, 1, 2):
        make_run(f"base{seed}", seed=seed, answers=shifted(seed))
    for seed in (1, 2, 4):
        make_run(f"hybrid{seed}", "S6-I6", seed, answers=shifted(10 + seed))
    base, hybrid = groups_in(make_run.top)
    found = compare(hybrid, base, RunPredictions.of([base, hybrid]))
    kinds = [(each.quantity, each.seed, each.test) for each in found]
    assert kinds == [
        ("performance", None, BOOTSTRAP),
        ("sst", None, BOOTSTRAP), ("sst", 1, "McNemar, exact"), ("sst", 2, "McNemar, exact"),
        ("quora", None, BOOTSTRAP), ("quora", 1, "McNemar, exact"), ("quora", 2, "McNemar, exact"),
        ("sts", None, BOOTSTRAP), ("sts", 1, "Williams"), ("sts", 2, "Williams"),
    ]  # fmt: skip
    assert found[0].seeds == (1, 2) and found[2].seeds == (1,)
    assert found[1].difference.mean == pytest.approx(
        np.mean([found[2].difference.mean, found[3].difference.mean])
    )


def test_a_group_equals_itself(pair):
    base = pair[0]
    for each in compare(base, base, RunPredictions.of(pair)):
        assert (each.difference.mean, each.difference.p) == (0, 1)
        assert not each.against_baseline


def test_the_resampled_metrics_lie_around_the_results(pair):
    predictions = RunPredictions.of(pair)
    for group in pair:
        for task in TASKS:
            drawn = predictions.resampled(group.runs[0], task)
            value = group.runs[0].result["tasks"][task]["value"]
            assert drawn.mean() == pytest.approx(
                value, abs=4 * drawn.std() / len(drawn) ** 0.5 + 0.02
            )


@pytest.mark.parametrize(
    ("column", "value"), [("text", "other"), ("label", 1.0), ("id", "x"), ("text_pair", "y")]
)
def test_other_examples_are_not_compared(make_run, column, value):
    def change(table):
        found = table.copy()
        found.loc[found.index[found["task"] == "sst"][3], column] = value
        return found

    def other_label(table):
        found = table.copy()
        found.loc[found.index[found["task"] == "sst"][3], "label"] = 0.0
        return found

    make_run("base", answers=other_label if column == "label" else None)
    make_run("hybrid", "S6-I6", answers=change)
    groups = groups_in(make_run.top)
    found = {e.quantity: e for e in compare(groups[1], groups[0], RunPredictions.of(groups))}
    assert (found["sst"].difference, found["sst"].note) == (None, "different dev examples")
    assert found["performance"].note == "sst: different dev examples"
    assert found["quora"].difference is not None


def test_no_predictions_and_no_common_seed_are_told(make_run):
    make_run("base")
    bare = make_run("hybrid", "S6-I6")
    (bare / "predictions.parquet").unlink()
    make_run("shared", "S12", seed=4)
    groups = {g.label: g for g in groups_in(make_run.top)}
    predictions = RunPredictions.of(groups.values())
    found = compare(groups["S6-I6"], groups["I12"], predictions)
    assert {each.note for each in found[1:]} == {"no predictions of hybrid"}
    [only] = compare(groups["S12"], groups["I12"], predictions)
    assert (only.quantity, only.note) == ("performance", "no seed that both have")


def test_comparisons_with_the_baseline_are_corrected_together(make_run, monkeypatch):
    make_run("base", answers=shifted(0))
    for number, plan in enumerate(("S12", "S6-I6", "S3-I9"), start=1):
        make_run(plan, plan, answers=shifted(number))
    groups = groups_in(make_run.top)
    found = compare_all(groups, RunPredictions.of(groups))
    sst = [each for each in found if each.quantity == "sst"]
    against = [each for each in sst if each.against_baseline]
    assert len(against) == 3 and len(sst) == 6
    smallest = min(against, key=lambda each: each.difference.p)
    assert smallest.adjusted == pytest.approx(min(1, 3 * smallest.difference.p))
    assert all(each.adjusted is None for each in sst if not each.against_baseline)
    monkeypatch.setattr(comparisons, "ALL_PAIRS", 2)
    fewer = compare_all(groups, RunPredictions.of(groups))
    assert [e for e in found if e.against_baseline] == fewer


def test_predictions_that_do_not_give_the_runs_figure_are_not_used(make_run):
    make_run("base")
    make_run("hybrid", "S6-I6")
    change_json(make_run.top / "hybrid" / "result.json", {"tasks.sts.value": 0.123})
    groups = groups_in(make_run.top)
    found = {e.quantity: e for e in compare(groups[1], groups[0], RunPredictions.of(groups))}
    assert found["sts"].note == "no predictions of hybrid" and found["sst"].difference is not None
    assert groups[1].runs[0].problems == [
        "predictions.parquet: of sts, do not give the metric in result.json"
    ]
