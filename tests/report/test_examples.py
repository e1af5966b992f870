"""Single examples: the worst, the confused, and where groups part."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from mtl_sharing.report.analysis.examples import confusions, parting_examples, worst_examples
from mtl_sharing.report.analysis.predictions import RunPredictions
from mtl_sharing.report.inputs.groups import make_groups
from mtl_sharing.report.inputs.runs import read_runs


def groups_in(folder):
    return make_groups(read_runs([folder]).runs)


@pytest.mark.parametrize("task", ["sst", "quora", "sts"])
def test_the_worst_have_the_largest_mean_error(real_runs, task):
    groups = groups_in(real_runs)
    group = groups[1]
    found = worst_examples(group, task, RunPredictions.of(groups), count=4)
    said = [run.predictions_table().to_pandas() for run in group.runs]
    each = [table[table["task"] == task].reset_index(drop=True) for table in said]
    mean = (each[0]["error"] + each[1]["error"]) / 2
    assert found["error"].tolist() == pytest.approx(sorted(mean, reverse=True)[:4])
    for _, row in found.iterrows():
        one = each[0][each[0]["id"] == row["id"]].iloc[0]
        assert (one["text"], one["label"]) == (row["text"], row["label"])
        assert mean[one.name] == pytest.approx(row["error"])
        if task == "sts":
            said = [table.loc[one.name, "prediction"] for table in each]
            assert row["prediction"] == pytest.approx(np.mean(said))
        assert len(row["predictions"].split(", ")) == 2
    assert ("probability" in found) == (task != "sts")


def test_confusions_are_those_of_the_predictions(real_runs):
    groups = groups_in(real_runs)
    group = groups[1]
    found = {each.task: each for each in confusions(group, RunPredictions.of(groups))}
    both = pd.concat([run.predictions_table().to_pandas() for run in group.runs])
    for task in ("sst", "quora"):
        rows = both[both["task"] == task]
        names = [int(name) for name in found[task].classes]
        wanted = confusion_matrix(rows["label"], rows["prediction"], labels=names)
        assert np.array_equal(found[task].counts, wanted)
    assert {each.seeds for each in found.values()} == {2}


def test_a_regressions_confusion_agrees_with_its_recalls(real_runs):
    groups = groups_in(real_runs / "single")
    run = groups[0].runs[0]
    for each in confusions(groups[0], RunPredictions.of(groups)):
        by_class = run.result["tasks"][each.task]["by_class"]
        for place, name in enumerate(each.classes):
            right, total = each.counts[place, place], each.counts[place].sum()
            assert by_class[name]["recall"] == pytest.approx(right / total if total else 0)


def test_classes_have_their_names(make_run):
    make_run("run", settings={"task.quora.labels": ["other", "same"]})
    groups = groups_in(make_run.top)
    found = {each.task: each for each in confusions(groups[0], RunPredictions.of(groups))}
    assert found["quora"].classes == ("other", "same")


def test_parting_examples_are_right_on_one_side_alone(make_run):
    def right(table):
        return table.assign(prediction=table["label"])

    def wrong_at_two(table):
        found = right(table)
        for task, change in (("sst", 1.0), ("sts", 2.0)):
            rows = found.index[found["task"] == task][[3, 7]]
            found.loc[rows, "prediction"] = (found.loc[rows, "label"] + [change, change * 2]) % 5
        return found

    make_run("a", answers=right)
    make_run("b", "S12", answers=wrong_at_two)
    one, other = groups_in(make_run.top)
    predictions = RunPredictions.of([one, other])
    found = parting_examples(one, other, "sst", predictions)
    assert found["id"].tolist() == ["sst-dev-3", "sst-dev-7"]
    assert found["advantage"].tolist() == [1.0, 1.0]
    assert (found["prediction"] == found["label"]).all()
    assert (found["prediction of S12"] != found["label"]).all()
    assert len(parting_examples(other, one, "sst", predictions)) == 0
    values = parting_examples(one, other, "sts", predictions)
    assert len(values) == 2 and values["advantage"].is_monotonic_decreasing


def test_examples_without_predictions_are_none(make_run):
    (make_run("a") / "predictions.parquet").unlink()
    make_run("b", "S12")
    groups = groups_in(make_run.top)
    predictions = RunPredictions.of(groups)
    assert len(worst_examples(groups[0], "sst", predictions)) == 0
    assert len(parting_examples(groups[0], groups[1], "sst", predictions)) == 0
    assert list(confusions(groups[0], predictions)) == []
