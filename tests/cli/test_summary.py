"""What stands beside a score at the end of a run."""

import copy
from pathlib import Path

import pytest

from mtl_sharing.cli.summary import result_summary
from mtl_sharing.score.performance import kept_above_floor
from mtl_sharing.utils.summary import print_summary
from support import QUICK


def printed(result, capsys, **changes):
    capsys.readouterr()
    print_summary(result_summary({**copy.deepcopy(result), **changes}, Path("run")))
    return capsys.readouterr().out


def test_a_constant_answer_and_the_clock_stand_beside_the_score(hybrid_run):
    result, lines = hybrid_run.result, hybrid_run.out.splitlines()
    floors = {name: task["floor"] for name, task in result["tasks"].items()}
    assert result["floor_performance_raw_r"] == pytest.approx(sum(floors.values()) / 3)
    unit = (floors["sst"] + floors["quora"] + 0.5) / 3
    assert result["floor_performance"] == pytest.approx(unit)
    assert any(line.startswith(f"floor        {unit:.4f}") for line in lines)
    (clock,) = [line for line in lines if line.startswith("clock ")]
    machine, ends = result["machine"], result["baseline"]["train_ratio_range"]
    assert f"measured on {machine['device']}, {machine['threads']} thread" in clock
    assert f"1 timed pair: {ends[0]:.2f} x the time" in clock
    flagged = {n for n, task in result["tasks"].items() if task["value"] <= task["floor"]}
    assert set(result["at_floor"]) == flagged
    assert result["untrained"] == []


def test_separate_models_keep_all_above_a_constant_answer_or_nothing_defined(separate_run):
    result = separate_run.result
    own, floor = result["performance"], result["floor_performance"]
    assert result["kept_above_floor"] == kept_above_floor(own, own, floor)
    assert "clock " not in separate_run.out  # held against themselves


def test_the_best_step_of_each_component(hybrid_run, separate_run):
    steps = {c["tasks"][0]: c["best_step"] for c in separate_run.result["components"]}
    assert list(steps) == ["sst", "quora", "sts"]
    text = ", ".join(f"{task} {step}" for task, step in steps.items())
    assert f"best step    {text}: each is a training of its own" in separate_run.out
    (one,) = hybrid_run.result["components"]
    assert one["tasks"] == ["sst", "quora", "sts"] and one["best_step"] > 0
    assert "best step" not in hybrid_run.out


@pytest.mark.parametrize(("above", "text"), [
    (0.5, "80.0% of separate models' performance, 50.0% of what they have above a constant"),
    (None, "80.0% of separate models' performance; separate models are not above a constant"),
])  # fmt: skip
def test_what_is_kept_above_it(hybrid_run, capsys, above, text):
    assert text in printed(hybrid_run.result, capsys, kept=0.8, kept_above_floor=above)


def test_an_old_result_says_nothing_of_what_it_lacks(hybrid_run, capsys):
    old = {n: v for n, v in hybrid_run.result.items() if n != "kept_above_floor"}
    (line,) = [row for row in printed(old, capsys, kept=0.8).splitlines() if row[:5] == "kept "]
    assert line.startswith("kept         80.0% of separate models' performance")
    assert "separate models are not above" not in line


def test_flags_stand_at_the_performance_and_the_score(hybrid_run, capsys):
    tasks = copy.deepcopy(hybrid_run.result["tasks"])
    for task in tasks.values():
        task["value"] = task["floor"] + 0.1
    plain = printed(hybrid_run.result, capsys, tasks=tasks)
    assert "constant answer\n" not in plain.replace("by a constant answer\n", "")
    tasks["sst"]["value"] = tasks["sst"]["floor"]
    tasks["sts"]["undefined"] = {"pearson": "all 9 labels are 3, counts as 0"}
    lines = printed(hybrid_run.result, capsys, tasks=tasks, untrained=["quora"]).splitlines()
    flag = "[sst at or below a constant answer; quora untrained (loss weight 0)]"
    assert [line.split()[0] for line in lines if flag in line] == ["performance", "score"]
    assert "sts: undefined: all 9 labels are 3, counts as 0" in lines


@pytest.mark.parametrize("asked", [False, True])
def test_classes_of_a_regression_where_they_are_asked_for(hybrid_run, capsys, asked):
    changes = {"precision": 1.0, "recall": 2.0, "f1": 3.0}
    against = {"separate": {"sst": changes | {"accuracy": 4.0}, "sts": changes | {"pearson": 5.0}}}
    scored_by = hybrid_run.result["scored_by"] | {"rounded": asked}
    out = printed(hybrid_run.result, capsys, against=against, scored_by=scored_by)
    (row,) = [line for line in out.splitlines() if "+5.0%" in line]
    assert ("+3.0%" in row, "sts (rounded)" in row) == (asked, asked)
    assert ("values rounded to whole classes" in out) == asked
    assert any("+3.0%" in line and "+4.0%" in line for line in out.splitlines())


def test_a_task_of_weight_0_is_untrained(mtl_train):
    weights = [f"loss.weights.{task}={w}" for task, w in {"sst": 1, "quora": 0, "sts": 1}.items()]
    few = ("encoder.layers=1", "trainer.max_steps=1", "score.pairs=0", "phases=mlm")
    done = mtl_train(*QUICK, *few, "loss.weighting=fixed", *weights)
    assert done.code == 0, done.err
    assert done.result["untrained"] == ["quora"]
    assert "quora untrained (loss weight 0)" in done.out
