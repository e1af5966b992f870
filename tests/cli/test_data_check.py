"""``check_data=true`` prints what the data hold, trains nothing, and ends with 2 for a mistake."""

import io
import json
from pathlib import Path

import pytest
from rich import get_console

from mtl_sharing.cli.data_summary import data_summary, training_command
from mtl_sharing.utils.summary import print_summary
from support import QUICK

TASK = """
kind: classes
labels: ['no', '[bold]yes :smile:']
columns: {text: text, label: label}
train: [train.csv]
dev: [dev.csv]
"""
WRITTEN = {".hydra", ".lock", "settings.json", "manifest.json", "train.log"}


def own_task(folder, dev="more words,no\n"):
    """Words for a task of two classes; dev has one class alone."""
    rows = "".join(f"some words {n},{('no', '[bold]yes :smile:')[n % 2]}\n" for n in range(6))
    (folder / "train.csv").write_text(f"text,label\n{rows}no words,\n")
    (folder / "dev.csv").write_text(f"text,label\n{dev}some words 2,no\n")
    (folder / "mine" / "task").mkdir(parents=True)
    (folder / "mine" / "task" / "own.yaml").write_text(TASK)
    return ("--config-dir=mine", "+task@task.own=own", "suite.tasks=[own]", f"data_dir={folder}",
            *QUICK, "encoder.layers=1")  # fmt: skip


def test_the_data_alone(mtl_train, tmp_path):
    words = own_task(tmp_path)
    done = mtl_train(*words, "check_data=true", "hydra.run.dir=run")
    assert done.code == 0, done.err
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir()} == WRITTEN | {"data.json"}
    record = json.loads((folder / "data.json").read_text())
    assert record["tasks"]["own"]["splits"]["train"]["examples"] == 6
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    answer = (
        "the data of 1 task can be trained on (6 train and 2 dev examples): no mistakes, 3 notes"
    )
    rows = ("own train 7 1 6 0", "dev 2 0 2 0 1", "[bold]yes :smile: 3 (50.0%) 0")
    assert {answer, *rows} <= set(lines)
    assert "own: dev has one class alone, no (2 examples), and no [bold]yes :smile:\n" in done.out
    assert "own train: skipped 1 x nothing in column 'label'\n" in done.out
    assert "own dev: 1 of 2 examples are in train too, 1 have a text of it\n" in done.out
    assert "floor own accuracy 1.000 by a constant answer" in lines
    (command,) = [line for line in lines if line.startswith("next mtl-train --config-dir=mine")]
    assert "stage" not in done.out and "check_data" not in command
    refused = mtl_train("resume=run")
    assert refused.code == 2
    assert "run, a check of the data" in refused.err


def test_beside_the_plan_and_without(mtl_train, tmp_path):
    words = own_task(tmp_path)
    both = mtl_train(*words, "check_data=true", "dry_run=true")
    assert both.code == 0, both.err
    assert {path.name for path in both.folder.iterdir()} == WRITTEN | {"plan.json", "data.json"}
    assert both.out.index("one tower") < both.out.index("longest")
    assert "no data was read" not in both.out
    plan = mtl_train(*words, "dry_run=true")
    assert "no data was read; check_data=true reads it" in plan.out
    assert "longest" not in plan.out


def test_mistakes_end_with_2_behind_the_tables(mtl_train, tmp_path):
    words = own_task(tmp_path, dev="a\x1b[2J,perhaps\nb,never\n")
    (tmp_path / "train.csv").write_text("words,label\na,no\n")
    bundled = [word for word in words if word != "suite.tasks=[own]"]
    done = mtl_train(*bundled, "suite.max_dev_rows=null", "check_data=true", "hydra.run.dir=run")
    assert done.code == 2
    assert "the data of 3 of 4 tasks can be trained on" in done.out
    assert not [line for line in done.out.splitlines() if line.startswith("next")]
    head, column, label = done.err.strip().splitlines()[-3:]
    assert head == "mtl-train: the data: found 2 mistakes; allowed: none"
    assert column.startswith(f"  {tmp_path / 'train.csv'}: found no column 'text'")
    found = "found the label 'perhaps', the first of 2 rows with an unknown label"
    assert label.startswith(f"  {tmp_path / 'dev.csv'}:2: {found}: 'perhaps' (1), 'never' (1)")
    record = json.loads((tmp_path / "run" / "data.json").read_text())
    assert record["left_out"] == ["own"]
    assert [f"  {mistake}" for mistake in record["mistakes"]] == [column, label]
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_mistake_shows_no_interpolated_value(mtl_train, tmp_path, monkeypatch):
    folder = tmp_path / "hidden-folder"
    folder.mkdir()
    words = own_task(folder, dev="a,perhaps\n")
    monkeypatch.setenv("DATA_HERE", str(folder))
    words = [word for word in words if not word.startswith(("data_dir", "--config-dir"))]
    done = mtl_train(f"--config-dir={folder / 'mine'}", *words, "data_dir=${oc.env:DATA_HERE}",
                     "check_data=true", "hydra.run.dir=run")  # fmt: skip
    assert done.code == 2
    assert "\nmtl-train: ${oc.env:DATA_HERE}/dev.csv:2: found the label" in done.err
    for name in ("data.json", "settings.json", "train.log"):
        assert "hidden-folder" not in (tmp_path / "run" / name).read_text(), name


@pytest.mark.slow
def test_plain_jobs_check_their_own_data(mtl_train, tmp_path):
    words = (*own_task(tmp_path), "check_data=true", "hydra.sweep.dir=sweep")
    done = mtl_train("-m", *words, "suite.max_train_rows=4,5")
    assert done.code == 0, done.err
    sizes = [
        json.loads(path.read_text())["tasks"]["own"]["splits"]["train"]["examples"]
        for path in sorted(done.cwd.glob("sweep/*/data.json"))
    ]
    assert sizes == [4, 5]


def split_facts(examples, classes, **more):
    return {
        "rows": examples, "examples": examples, "skipped": {}, "limit": None, "texts": examples,
        "labels": {"unlabelled": 0, "classes": classes}, "cut_texts": examples // 3,
        "tokens": {"median": 17, "p95": 101, "longest": 128}, "repeated": 0,
        "repeated_with_another_label": 0, "floor": 0.5, **more,
    }  # fmt: skip


def test_a_narrow_terminal_cuts_nothing(monkeypatch):
    classes = {f"{'a long name of a class' * (n % 2)} {n}": 3_457 for n in range(23)}
    others = {"in_train": 1_123_457, "with_a_text_in_train": 0, "with_a_text_in_train_of": {}}
    splits = {
        "train": split_facts(4_123_457, classes),
        "dev": split_facts(1_123_457, classes, **others),
    }
    task = {"metric": "accuracy", "warnings": [], "splits": splits}
    record = {"max_length": 128, "tasks": {"reviews": task}, "left_out": [], "mistakes": []}
    out = io.StringIO()
    monkeypatch.setattr(get_console(), "_file", out)
    monkeypatch.setattr(get_console(), "_width", 60)
    monkeypatch.setattr(get_console(), "_force_terminal", True)
    print_summary(data_summary(record, None, Path("folder"), "mtl-train"))
    text = out.getvalue()
    tables = [line for line in text.splitlines() if "can be trained" not in line]
    assert max(map(len, tables)) <= 60
    assert "…" not in text
    for number in ("4,123,457", "1,123,457", "1,374,485", "(33.3%)", "3 more", "10,371"):
        assert number in text, number


@pytest.mark.parametrize(("arguments", "command"), [
    (("check_data=true", "split=3"), "mtl-train split=3"),
    (("++check_data=true", "dry_run=true", "suite.tasks=[a,b]"), "mtl-train 'suite.tasks=[a,b]'"),
    (("-m", "split=0,6", "check_data=true"), "mtl-train -m split=0,6"),
])  # fmt: skip
def test_the_next_command(arguments, command):
    assert training_command(arguments) == command
