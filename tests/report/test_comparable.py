"""What a report averages and compares, and what it says where figures flatter."""

import json

import pandas as pd
import pytest

from mtl_sharing.job.baseline_key import RESULTS_VERSION
from mtl_sharing.report.analysis import tables, task_tables
from mtl_sharing.report.analysis.notes import notes
from mtl_sharing.report.analysis.splits import split_panels
from mtl_sharing.report.analysis.trade_offs import trade_offs
from mtl_sharing.report.analysis.values import group_flags, kept, kept_above_floor
from mtl_sharing.report.build import write_report
from mtl_sharing.report.inputs.groups import baseline_of, differing_keys, make_groups
from mtl_sharing.report.inputs.runs import read_runs

FLOORS = {"sst": 0.25, "quora": 0.5, "sts": 0.0}
MEASURED = {
    "scored_by.clock": "measured", "scored_by.time": "train", "score": 2.0,
    "machine.device": "AMD EPYC", "machine.threads": 1, "machine.precision": "fp32",
    "baseline": {"train_ratio_range": [1.02, 1.13]},
}  # fmt: skip


def values(number, **more):
    """Each task's value above its floor, and the performance."""
    of_tasks = {f"tasks.{task}.value": floor + number for task, floor in FLOORS.items()}
    floors = {f"tasks.{task}.floor": floor for task, floor in FLOORS.items()}
    performance = (0.25 + 0.5 + 0.5 + 2.5 * number) / 3
    return {**of_tasks, **floors, "performance": performance, **more}


def groups_in(folder):
    return make_groups(read_runs([folder]).runs)


# One of two seeds of a regime differs in this; the key by which the page tells them apart.
APART = {
    "the clock": ({"scored_by.clock": "flops"}, "score.clock"),
    "an exponent": ({"scored_by.memory_exponent": 0.0}, "score.memory_exponent"),
    "the time counted": ({"scored_by.time": "predict"}, "score.time"),
    "the memory counted": ({"scored_by.memory": "peak_train"}, "score.memory"),
    "how r counts": ({"scored_by.pearson": "raw"}, "score.pearson"),
    "the metric": ({"tasks.sst.metric": "f1"}, "data.sst.metric"),
    "the dev texts": ({"tasks.sts.digests.dev": "other"}, "data.sts.digests.dev"),
    "the train texts": ({"tasks.sts.digests.train": "other"}, "data.sts.digests.train"),
    "the dev labels": ({"tasks.sst.floor": 0.3}, "data.sst.floor"),
    "what is held out": ({"tasks.sst.select_examples": 7}, "data.sst.select_examples"),
}


@pytest.mark.slow
def test_runs_of_another_version_of_the_results_stand_apart(make_run):
    """Equal settings, other trainings: the mean would be of neither."""
    make_run("old", seed=1, result={"results_version": None})
    make_run("new", seed=2)
    labels = [group.label for group in groups_in(make_run.top)]
    assert labels == ["I12  results version 1", f"I12  results version {RESULTS_VERSION}"]


@pytest.mark.parametrize("name", APART)
def test_what_is_not_comparable_is_never_averaged(make_run, name):
    changes, key = APART[name]
    make_run("base", result=values(0.3))
    make_run("a", "S12", result=values(0.2, **MEASURED), seed=1)
    make_run("b", "S12", result=values(0.1, **MEASURED) | changes, seed=2)
    groups = groups_in(make_run.top)
    assert sorted(group.seeds for group in groups if not group.separate) == [(1,), (2,)]
    assert len({group.label for group in groups}) == 3
    apart = tables.apart_table(groups)
    assert {"regime", key} <= set(differing_keys(groups)) == set(apart["key"])
    assert any(key in line and "no mean" in line for line in notes(groups))


def test_how_a_run_is_held_against_others_does_not_part_groups(make_run):
    make_run("a", "S12", result=MEASURED | {"scored_by.pairs": 1, "scored_by.keep": 0.9})
    make_run("b", "S12", seed=1, result=MEASURED | {"scored_by.pairs": 5, "scored_by.keep": 0.8})
    [group] = groups_in(make_run.top)
    assert group.seeds == (0, 1)
    assert notes([group])[0].endswith(
        "measured on AMD EPYC, 1 thread, fp32, timed pairs 1.02 to 1.13 x"
    )


def test_counted_scores_are_the_same_on_every_machine(make_run):
    flops = MEASURED | {"scored_by.clock": "flops"}
    make_run("a", "S12", result=flops)
    make_run("b", "S12", seed=1, result=flops | {"machine.device": "another"})
    [group] = groups_in(make_run.top)
    row = tables.comparison_table([group]).iloc[0]
    assert row["clock"] == "counted FLOPs" and "timed pairs x" not in row
    assert notes([group]) == []


def test_a_score_by_the_clock_stands_with_its_machine_and_pairs(make_run):
    make_run("base", result=values(0.3))
    make_run("a", "S12", result=values(0.2, **MEASURED))
    other = MEASURED | {"baseline": {"train_ratio_range": [0.9, 1.05]}}
    make_run("b", "S12", seed=1, result=values(0.2, **other))
    table = tables.comparison_table(groups_in(make_run.top)).set_index("group")
    assert table.loc["S12", "clock"] == "measured on AMD EPYC, 1 thread, fp32"
    assert table.loc["S12", "timed pairs x"] == "0.90 to 1.13"
    assert pd.isna(table.loc["I12", "clock"])  # held against itself


MACHINES = {
    "device": ({"machine.device": "Intel Xeon"}, "Intel Xeon, 1 thread, fp32"),
    "threads": ({"machine.threads": 2}, "AMD EPYC, 2 threads, fp32"),
}
TIMED = ("score", "time saved x", "train s")


@pytest.mark.parametrize("name", MACHINES)
def test_what_was_timed_on_several_machines_is_no_mean(make_run, name):
    changes, other = MACHINES[name]
    make_run("base", result=values(0.3))
    for seed, more in enumerate(({}, changes)):
        made = MEASURED | {"multipliers": {"memory": 2.0, "time": 1.0 + seed}}
        make_run(f"a{seed}", "S12", seed=seed, result=values(0.1 + seed / 10, **made) | more)
        make_run(f"b{seed}", "S6-I6", seed=seed, result=values(0.1, **made))
    groups = groups_in(make_run.top)
    table = tables.comparison_table(groups).set_index("group")
    row, one = table.loc["S12"], table.loc["S6-I6"]
    # The figures of the answers have both seeds.
    assert (row["seeds"], row["memory saved x"]) == (2, 2)
    assert row["performance"] == pytest.approx(values(0.15)["performance"])
    assert row["kept %"] > 0 and row["performance sd"] > 0
    assert row[[*TIMED]].isna().all() and one[[*TIMED]].notna().all()
    costs = tables.cost_table(groups).set_index("group")
    assert pd.isna(costs.loc["S12", "train s"]) and costs.loc["S6-I6", "train s"] > 0
    assert row["clock"] == f"measured on AMD EPYC, 1 thread, fp32; {other}"
    (why,) = [line for line in notes(groups) if line.startswith("S12: ")]
    assert why == (f"S12: timed on AMD EPYC, 1 thread, fp32; {other}; its score and times are left"
                   " out, since they are never averaged")  # fmt: skip


def test_a_score_without_its_time_is_the_same_on_every_machine(make_run):
    made = MEASURED | {"scored_by.time_exponent": 0.0, "multipliers": {"memory": 2.0, "time": 1.0}}
    make_run("a", "S12", result=made)
    make_run("b", "S12", seed=1, result=made | {"machine.device": "another"})
    [group] = groups_in(make_run.top)
    row = tables.comparison_table([group]).iloc[0]
    assert row["score"] == 2 and not {"clock", "time saved x", "train s"} & {*row.index}
    (why,) = notes([group])
    assert "another" in why and "its times are left out" in why


def test_scores_over_the_split_are_drawn_apart_for_each_machine(make_run):
    make_run("base", result=values(0.3) | {"score": 0.7})
    devices = {"S12": "AMD EPYC", "S6-I6": "AMD EPYC", "S3-I9": "H200", "S9-I3": "H200"}
    for plan, device in devices.items():
        make_run(plan, plan, result=values(0.2, **MEASURED) | {"machine.device": device})
    panels = split_panels(groups_in(make_run.top))[12]
    lines = {line.group: {split for split, _ in line.points} for line in panels["score"].lines}
    # Separate models' score is their performance, whatever the machine.
    assert {next(d for d in ("EPYC", "H200") if d in n): s for n, s in lines.items()} == {
        "EPYC": {0, 6, 12}, "H200": {0, 3, 9},
    }  # fmt: skip
    (line,) = panels["performance"].lines
    assert {split for split, _ in line.points} == {0, 3, 6, 9, 12}


def test_a_baseline_scored_otherwise_is_still_the_baseline(make_run):
    make_run("base", result=values(0.3) | {"scored_by.clock": "flops"})
    make_run("a", "S12", result=values(0.15, **MEASURED))
    base, shared = groups_in(make_run.top)
    assert baseline_of(shared, [base, shared]) is base
    assert kept_above_floor(shared, base).mean == pytest.approx(0.5)


def test_a_baseline_has_no_spread_against_itself(make_run):
    for seed, number in enumerate((0.2, 0.3, 0.25)):
        make_run(str(seed), seed=seed, result=values(number))
    [base] = groups_in(make_run.top)
    for share in (kept(base, base), kept_above_floor(base, base)):
        assert (share.n, share.mean, share.deviation, share.low) == (3, 1.0, None, None)


def test_a_baseline_at_its_floor_keeps_nothing_above_it(make_run):
    make_run("base", result=values(0.0))
    make_run("a", "S12", result=values(0.1))
    base, shared = groups_in(make_run.top)
    assert kept_above_floor(shared, base).mean is None and kept(shared, base).mean > 1
    assert kept_above_floor(base, base).mean is None
    table = tables.comparison_table([base, shared])
    assert "kept above floor %" not in table  # a dash: no group has it


FLAGGED = {
    "at the floor": ({"tasks.quora.value": 0.5}, "quora at or below a constant answer"),
    "below it": ({"tasks.sts.value": -0.1}, "sts at or below a constant answer"),
    "untrained": ({"untrained": ["sst"]}, "sst untrained (loss weight 0)"),
    "undefined": ({"tasks.sts.undefined": {"pearson": "all 9 labels are 3, counts as 0"}},
                  "sts pearson undefined (all 9 labels are 3, counts as 0)"),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAGGED)
def test_what_flatters_is_flagged(make_run, name):
    changes, flag = FLAGGED[name]
    make_run("base", result=values(0.3))
    make_run("a", "S12", result=values(0.2) | changes)
    base, shared = groups_in(make_run.top)
    assert (group_flags(base), group_flags(shared)) == ("", flag)
    assert list(tables.comparison_table([base, shared])["flagged"].fillna("")) == ["", flag]


@pytest.mark.usefixtures("without_drawing")
def test_flags_stand_wherever_a_score_stands(make_run, tmp_path):
    changes, flag = FLAGGED["at the floor"]
    make_run("base", result=values(0.3))
    make_run("a", "S12", result=values(0.2) | changes)
    written = write_report([make_run.top], tmp_path / "out", formats=["html", "csv"])
    assert flag in written.answer[0]
    page = (tmp_path / "out" / "report.html").read_text()
    # The answer, its table, the picture's caption, all numbers, every run.
    assert page.count(flag) >= 5


def test_an_old_run_s_weights_say_what_was_untrained(make_run):
    make_run("a", "S12", settings={"loss.weights": {"sst": 1.0, "quora": 0.0, "sts": 1.0}},
             result=values(0.2) | {"untrained": None})  # fmt: skip
    [group] = groups_in(make_run.top)
    assert group_flags(group) == "quora untrained (loss weight 0)"


@pytest.mark.parametrize("asked", [False, True])
def test_classes_of_a_regression_are_shown_where_they_are_asked_for(make_run, asked):
    make_run("a", "S12", result=values(0.2) | {"scored_by.rounded": asked})
    groups = groups_in(make_run.top)
    rows = task_tables.class_table(groups)[["task", "figure"]].to_numpy().tolist()
    assert ["sts", "pearson"] in rows and ["sst", "f1"] in rows
    rounded = [figure for task, figure in rows if task == "sts (rounded to classes)"]
    assert rounded == (["precision", "recall", "f1"] if asked else [])
    assert ("sts (rounded to classes)" in set(task_tables.by_class_table(groups)["task"])) == asked


@pytest.mark.parametrize("first", [False, True])
def test_one_run_of_a_group_that_asks_for_them_suffices(make_run, first):
    for seed, asked in enumerate((first, not first)):
        make_run(str(seed), "S12", seed=seed, result={"scored_by.rounded": asked})
    groups = groups_in(make_run.top)
    assert len(groups) == 1
    assert "sts (rounded to classes)" in set(task_tables.class_table(groups)["task"])


OLD = ("kept_above_floor", "floor_performance", "floor_performance_raw_r", "at_floor", "untrained")


@pytest.mark.usefixtures("without_drawing")
def test_results_of_before_are_read_with_what_they_lack_left_out(make_run, tmp_path):
    for name, plan in (("base", "I12"), ("a", "S12")):
        path = make_run(name, plan, result=values(0.3)) / "result.json"
        record = json.loads(path.read_text())
        for key in (*OLD, "scored_by", "machine"):
            record.pop(key, None)
        for task in record["tasks"].values():
            for key in ("floor", "undefined", "digests"):
                task.pop(key, None)
        path.write_text(json.dumps(record))
    written = write_report([make_run.top], tmp_path / "out", formats=["html", "csv"])
    assert list(written.comparison["kept %"]) == [100, 100]
    assert not {"floor", "kept above floor %", "flagged"} & set(written.comparison)


def test_the_front_compares_groups_on_the_same_data_alone(make_run):
    make_run("base", result=values(0.3) | {"params.total": 1000})
    make_run("a", "S12", result=values(0.2) | {"params.total": 1200})
    make_run(
        "b", "S6-I6", result=values(0.1) | {"params.total": 1500, "tasks.sst.digests.dev": "x"}
    )
    fronts = {point.group.split()[0]: point.front for point in trade_offs(groups_in(make_run.top))}
    assert fronts == {"I12": True, "S12": False, "S6-I6": True}
