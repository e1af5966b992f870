"""Runs as their folders tell them, damaged ones too."""

import fcntl
import json

import pandas as pd
import pytest
from pyarrow import parquet

from mtl_sharing.report.analysis.comparisons import compare_all
from mtl_sharing.report.analysis.examples import confusions
from mtl_sharing.report.analysis.predictions import RunPredictions
from mtl_sharing.report.analysis.tables import comparison_table, left_out_table
from mtl_sharing.report.inputs.groups import make_groups
from mtl_sharing.report.inputs.runs import read_runs
from mtl_sharing.report.page.contents import make_contents


def test_runs_and_sweeps_are_found_wherever_they_lie(real_runs):
    found = read_runs([real_runs])
    assert [(r.name, r.sweep, r.trial, r.seed, r.regime, r.status) for r in found.runs] == [
        ("several/0", "several", 0, 0, "S2-I2", "finished"),
        ("several/1", "several", 1, 1, "S2-I2", "finished"),
        ("single", None, None, 0, "I4", "finished"),
    ]
    assert found.omissions == ()
    sweep = read_runs([real_runs / "several"])
    assert [(r.name, r.sweep, r.trial) for r in sweep.runs] == [
        ("0", "several", 0), ("1", "several", 1)]  # fmt: skip
    both = read_runs([real_runs / "single", real_runs, str(real_runs / "several" / "0")])
    assert len(both.runs) == 3


def test_a_run_holds_what_its_files_do(real_runs):
    run = read_runs([real_runs / "several" / "1"]).runs[0]
    assert run.result == json.loads((run.folder / "result.json").read_text())
    assert run.settings == json.loads((run.folder / "config.json").read_text())["settings"]
    assert run.history.equals(pd.read_csv(run.folder / "metrics.csv"))
    assert run.history["step"].tolist() == [2, 4]
    assert (
        run.predictions_table()
        .to_pandas()
        .equals(pd.read_parquet(run.folder / "predictions.parquet"))
    )
    assert run.predictions_table(["task", "label"]).column_names == ["task", "label"]
    assert run.problems == []


@pytest.mark.parametrize(
    ("result", "status", "why"),
    [
        ({"status": "failed", "reason": "loss is nan"}, "failed", "loss is nan"),
        ({"status": "failed"}, "failed", "no reason given"),
        ({"status": "pruned", "pruned": {"percent": 40, "reason": "behind"}}, "pruned", "behind"),
        ({"status": "stopped"}, "stopped", "asked to stop"),
        ({"status": "running"}, "stopped", "lost: its process is gone"),
        ({"status": "odd"}, "unreadable", "result.json: status 'odd'"),
        ({"schema": 99}, "unreadable", "result.json: schema 99, where 1 is read"),
        ({"performance": "x"}, "unreadable", "result.json: no performance"),
        ({"tasks.sst.value": None}, "unreadable", "result.json: no metric and value of each task"),
        ({"tasks": {}}, "unreadable", "result.json: no tasks"),
        ({"score": float("nan")}, "unreadable", "result.json: score is nan"),
    ],
)
def test_what_became_of_a_run(make_run, result, status, why):
    make_run("run", result=result)
    run = read_runs([make_run.top]).runs[0]
    assert (run.status, run.reason) == (status, why)
    assert run.regime == "I12"


def test_a_run_whose_process_lives_is_running(make_run):
    folder = make_run("run", result={"status": "running"})
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert read_runs([folder]).runs[0].status == "running"
        (folder / "result.json").unlink()
        (folder / ".hydra").mkdir()
        assert read_runs([folder]).runs[0].status == "running"
    assert read_runs([folder]).runs[0].status == "unreadable"


def test_a_run_that_failed_early_tells_its_settings_from_hydras_files(make_run):
    folder = make_run("run", result={"status": "failed", "reason": "x"})
    (folder / "config.json").unlink()
    (folder / ".hydra").mkdir()
    text = "seed: 7\nsuite: {name: '${oc.env:HOME}'}\n"
    (folder / ".hydra" / "config.yaml").write_text(text)
    run = read_runs([folder]).runs[0]
    assert run.settings == {"seed": 7, "suite": {"name": "${oc.env:HOME}"}}
    (folder / "settings.json").write_text('{"settings": {"seed": 8, "suite": {"name": "${x:y}"}}}')
    run = read_runs([folder]).runs[0]
    assert run.settings == {"seed": 8, "suite": {"name": "${x:y}"}}


def test_a_file_of_hydras_that_is_no_plain_yaml_is_a_problem(make_run):
    folder = make_run("run", result={"status": "failed", "reason": "x"})
    (folder / "config.json").unlink()
    (folder / ".hydra").mkdir()
    for text in (
        "a: &b [1]\nc: *b\n",
        "[" * 100_000,
        "a: !!python/name:os.system\n",
        "x" * 2_000_000,
    ):
        (folder / ".hydra" / "config.yaml").write_text(text)
        run = read_runs([folder]).runs[0]
        assert run.settings == {}
        assert ".hydra/config.yaml: " in run.problems[0]


@pytest.mark.parametrize(("key", "kind"), [
    ("dry_run", "a dry run"), ("check_data", "a check of the data"),
])  # fmt: skip
def test_a_dry_run_is_no_run(make_run, key, kind):
    folder = make_run("run")
    (folder / "other" / ".hydra").mkdir(parents=True)
    dry = make_run.top / "dry" / ".hydra"
    dry.mkdir(parents=True)
    (dry / "config.yaml").write_text(f"{key}: true\n")
    found = read_runs([make_run.top])
    assert [run.name for run in found.runs] == ["run"]
    assert found.omissions == (("dry", f"{kind}, which trains nothing"),)


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


DAMAGE = {
    "result.json": lambda path: cut(path),
    "config.json": lambda path: cut(path),
    "metrics.csv": lambda path: path.write_text(path.read_text()[:-30]),
    "predictions.parquet": lambda path: cut(path),
}


@pytest.mark.parametrize("file", DAMAGE)
def test_damage_is_told_and_stops_nothing(make_run, file):
    bad = make_run("bad", "S6-I6")
    make_run("good", "S6-I6")
    make_run("base")
    DAMAGE[file](bad / file)
    reading = read_runs([make_run.top])
    groups = make_groups(reading.runs)
    make_contents(reading, groups, groups)
    [run] = [run for run in reading.runs if run.name == "bad"]
    history = run.history
    left_out = left_out_table(reading, groups)
    told = left_out["why"][left_out["what"].str.contains("bad")] if len(left_out) else []
    if file != "metrics.csv":  # whose rows are read for the curves alone
        assert file in "\n".join(told)
    if file == "result.json":
        assert run.status == "unreadable"
    else:
        assert run.finished
    if file == "metrics.csv":
        assert history["step"].tolist() == [2]
        assert run.problems == ["metrics.csv: the last line is cut and was left out"]
    if file == "predictions.parquet":
        assert run.predictions_table() is None


@pytest.mark.parametrize("text", ["", "step,train_s\n1,abc\n", "a,b\n1,2\n", "step\n1\n2,3,4\n"])
def test_a_table_of_metrics_that_is_none_gives_no_rows(make_run, text):
    folder = make_run("run")
    (folder / "metrics.csv").write_text(text)
    run = read_runs([folder]).runs[0]
    assert len(run.history) == 0
    assert bool(run.problems) == bool(text)


def test_a_table_of_predictions_without_a_column_is_damaged(make_run):
    folder = make_run("run", answers=lambda table: table.drop(columns="label"))
    run = read_runs([folder]).runs[0]
    assert run.predictions_table(["task", "label"]) is None
    [trouble] = run.problems
    assert trouble.startswith("predictions.parquet: ") and "label" in trouble


def test_predictions_are_read_when_they_are_needed(make_run, monkeypatch):
    make_run("base")
    make_run("shared", "S12")
    read = []
    whole = parquet.read_table

    def counted(path, columns):
        read.append((path.parent.name, columns))
        return whole(path, columns=columns)

    monkeypatch.setattr(parquet, "read_table", counted)
    groups = make_groups(read_runs([make_run.top]).runs)
    assert len(comparison_table(groups)) == 2 and read == []
    predictions = RunPredictions.of(groups)
    compare_all(groups, predictions)
    list(confusions(groups[0], predictions))
    # Once each, however often they are asked for, and without the columns of no use here.
    columns = ["task", "id", "text", "text_pair", "label", "prediction"]
    assert sorted(read) == [("base", columns), ("shared", columns)]
