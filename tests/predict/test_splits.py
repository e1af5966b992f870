"""``mtl-predict --split``: the tasks' own files, what they are worth, and the course's layout."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mtl_sharing.data.examples.bundled import bundled_examples
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.evaluation.evaluate import Answers, TaskMeasure
from mtl_sharing.objectives.losses import SquaredError
from mtl_sharing.predict import splits
from mtl_sharing.predict.predictor import Predictor
from mtl_sharing.predict.splits import score
from support import QUICK, rewrite

RUN = ("encoder.layers=2", "sharing.plan=S1-I1", "task.sst.classes=null",
       "task.sst.labels=[awful,bad,fair,good,great]", "suite.max_dev_rows=null",
       "trainer.eval_examples=20")  # fmt: skip
NAMES = ["awful", "bad", "fair", "good", "great"]


def test_dev_is_worth_what_the_run_said(mtl_predict, quick_run, tmp_path):
    folder = quick_run(*RUN)
    done = mtl_predict(folder, "--split", "dev", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    result = json.loads((folder / "result.json").read_text())
    said = pd.read_parquet(folder / "predictions.parquet")
    for task, found in result["tasks"].items():
        line = next(row for row in done.out.splitlines() if row.startswith(f"{task} "))
        assert line.split()[1:] == [found["metric"], f"{found['value']:.3f}",
                                    f"{found['examples']:,}"]  # fmt: skip
        written = pd.read_csv(tmp_path / "o" / f"{task}-dev.csv")
        rows = said[said["task"] == task]
        assert written["id"].tolist() == rows["id"].tolist()
        if task == "sst":
            written[["label", "prediction"]] = written[["label", "prediction"]].map(NAMES.index)
        assert written["label"].tolist() == rows["label"].tolist()
        assert written["prediction"].tolist() == pytest.approx(rows["prediction"].tolist(),
                                                               abs=1e-5)  # fmt: skip
        classes = {"sst": NAMES, "quora": [0, 1], "sts": []}[task]
        added = ["probability", *(f"probability_{name}" for name in classes)] if classes else []
        assert list(written.columns) == ["id", "label", "prediction", *added]
    assert "rows   1,700 in" in done.out and "o/sts-dev.csv" in done.out


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "tsv"])
def test_other_formats_and_splits(mtl_predict, quick_run, tmp_path, kind):
    words = ("--split", "test", "--tasks", "sts", "--format", kind, "--out", tmp_path)
    done = mtl_predict(quick_run(*RUN), *words)
    assert done.code == 0, done.err
    path = tmp_path / f"sts-test.{kind}"
    readers = {"jsonl": lambda p: pd.read_json(p, lines=True), "parquet": pd.read_parquet,
               "tsv": lambda p: pd.read_csv(p, sep="\t")}  # fmt: skip
    found = readers[kind](path)
    examples = bundled_examples("sts", "test", 0, 0.8)
    assert found["id"].tolist() == [example.id for example in examples]
    assert found["label"].tolist() == pytest.approx([example.label for example in examples])
    assert not found["prediction"].isna().any()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


FILES = ("suite.tasks=[sst,quora]", "encoder.layers=2", "sharing.plan=S2",
         "task.sst.train=[sst.csv]", "task.sst.dev=[sst.csv]", "task.sst.test=[sst-test.csv]",
         "task.quora.train=[quora.csv]", "task.quora.dev=[quora.csv]")  # fmt: skip


def test_no_task_is_written_before_all_are_predicted(mtl_predict, quick_run, tmp_path, monkeypatch):
    plain = Predictor.predict

    def predict(self, texts, pairs, tasks, size):
        if "sts" in tasks:
            raise OSError(28, "No space left on device")
        return plain(self, texts, pairs, tasks, size)

    monkeypatch.setattr(Predictor, "predict", predict)
    done = mtl_predict(quick_run(*RUN), "--split", "dev", "--out", tmp_path / "o")
    assert done.code == 2 and not list((tmp_path / "o").iterdir())


@pytest.fixture
def folder(mtl_train, tmp_path):
    """A run over files in the folder ``data``, which it was started beside."""
    data = tmp_path / "data"
    data.mkdir()
    rows = "".join(f"good film {n},{n % 5}\n" for n in range(12))
    (data / "sst.csv").write_text(f"text,label\n{rows}")
    (data / "sst-test.csv").write_text("text\nbad film\ngood film\n")
    pairs = "".join(f"good film {n},film {n},{n % 2}\n" for n in range(12))
    (data / "quora.csv").write_text(f"text,text_pair,label\n{pairs}")
    done = mtl_train(*QUICK, *FILES, "data_dir=data", "suite.max_dev_rows=5")
    assert done.code == 0, done.err
    return done.folder


def test_files_are_found_where_the_run_found_them(mtl_predict, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    done = mtl_predict(".", "--split", "dev", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    assert "all of dev, of which the run itself saw the first 5 rows" in done.err
    assert len(pd.read_csv(tmp_path / "o" / "sst-dev.csv")) == 12
    words = ("--out", tmp_path / "o", "--no-class-probabilities")
    tested = mtl_predict(".", "--split", "test", *words)
    assert tested.code == 0, tested.err
    assert "left out: quora, which have no test files" in tested.err
    found = pd.read_csv(tmp_path / "o" / "sst-test.csv")
    assert list(found.columns) == ["id", "prediction", "probability"]
    assert found["id"].tolist() == ["sst-test.csv:2", "sst-test.csv:3"]
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    lost = mtl_predict(".", "--split", "dev", "--out", tmp_path / "p")
    assert lost.code == 2 and "data_dir: found data; allowed: a folder that exists" in lost.err
    assert not (tmp_path / "p").exists()
    moved = mtl_predict(".", "--split", "dev", "--out", tmp_path / "p", "--data-dir",
                        tmp_path / "elsewhere")  # fmt: skip
    assert moved.code == 0, moved.err


def test_what_a_split_cannot_have_is_told(mtl_predict, folder, tmp_path):
    words = ("--split", "test", "--out", tmp_path / "o")
    done = mtl_predict(folder, *words, "--tasks", "quora")
    assert done.code == 2 and "task.quora.test: found no files" in done.err
    done = mtl_predict(folder, *words, "--tasks", "sts")
    assert done.code == 2 and "--tasks: found sts" in done.err
    (tmp_path / "o" / "sst-test.csv").mkdir(parents=True)
    done = mtl_predict(folder, *words)
    assert done.code == 2 and "o/sst-test.csv: found a folder" in done.err


def test_the_courses_layout(mtl_predict, quick_run, tmp_path):
    words = ("--split", "dev", "--format", "cs224n", "--out", tmp_path / "predictions")
    assert mtl_predict(quick_run(*RUN), *words).code == 0
    said = pd.read_parquet(quick_run(*RUN) / "predictions.parquet").groupby("task")
    heads = {"sst": "id \t Predicted_Sentiment ", "para": "id \t Predicted_Is_Paraphrase ",
             "sts": "id \t Predicted_Similiary "}  # fmt: skip
    for name, head in heads.items():
        path = tmp_path / "predictions" / f"{name}-dev-output.csv"
        first, *lines = path.read_text().removesuffix("\n").split("\n")
        assert first == head
        rows = said.get_group("quora" if name == "para" else name)
        values = rows["prediction"].tolist()
        if name == "sst":
            wanted = [f"{i} , {int(v)} " for i, v in zip(rows["id"], values, strict=True)]
            assert lines == wanted
        elif name == "para":
            wanted = [f"{i} , {v:.1f} " for i, v in zip(rows["id"], values, strict=True)]
            assert lines == wanted
        else:
            assert [line.split(" , ")[0] for line in lines] == rows["id"].tolist()
            found = [float(line.split(" , ")[1]) for line in lines]
            assert found == pytest.approx(values, abs=1e-5)


def test_tasks_that_the_course_has_not_are_told(mtl_predict, quick_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(quick_run("encoder.layers=2", "sharing.plan=S2"), folder)
    record = json.loads((folder / "config.json").read_text())
    task = record["settings"]["task"]
    task["film"] = task.pop("sts")
    rewrite(folder / "config.json", json.dumps(record))
    words = ("--split", "dev", "--format", "cs224n", "--out", tmp_path / "o")
    done = mtl_predict(folder, *words)
    assert done.code == 2
    assert "--format cs224n: found the task film; allowed: --tasks with some of sst" in done.err


COURSE = {"sst-dev": ("ids-sst-dev.csv", 1101), "para-dev": ("quora-dev.csv", 20212),
          "sts-dev": ("sts-dev.csv", 863), "sst-test": ("ids-sst-test-student.csv", 2210),
          "sts-test": ("sts-test-student.csv", 1725)}  # fmt: skip


def usable_ids(path):
    """The ids of the rows that lack nothing, as the course's own reader takes them."""
    rows = pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""])
    return rows.dropna()["id"].tolist()


@pytest.mark.data
@pytest.mark.parametrize("tasks", ["sst,sts", pytest.param(None, marks=pytest.mark.slow)])
def test_the_courses_own_files(mtl_predict, quick_run, course_data, tmp_path, tasks):
    data = ("suite=cs224n", f"data_dir={course_data}", "encoder.layers=2", "sharing.plan=S1-I1")
    data += (f"suite.tasks=[{tasks}]",) if tasks else ()
    folder, out = quick_run(*data), tmp_path / "predictions"
    words = ("--format", "cs224n", "--out", out, *(["--tasks", tasks] if tasks else []))
    assert mtl_predict(folder, "--split", "dev", *words).code == 0
    tested = mtl_predict(folder, "--split", "test", *words)
    assert tested.code == 0, tested.err
    assert ("left out: quora, which have no test files" in tested.err) == (tasks is None)
    wanted = {n: found for n, found in COURSE.items() if not tasks or n != "para-dev"}
    assert {path.name for path in out.iterdir()} == {f"{name}-output.csv" for name in wanted}
    for name, (file, count) in wanted.items():
        lines = (out / f"{name}-output.csv").read_text().splitlines()
        ids = [line.split(" , ")[0] for line in lines[1:]]
        assert len(ids) == count
        assert ids == usable_ids(course_data / file)


def test_an_undefined_metric_is_said(caplog):
    measure = TaskMeasure(SquaredError(0, 5), "regression", "pearson", 0)
    run = SimpleNamespace(run_spec=SimpleNamespace(measures={"sts": measure}))
    examples = [Example(str(number), "a", "b", 3.0) for number in range(4)]
    answers = Answers(np.array([1.0, 2.0, 3.0, 4.0]), None, np.zeros(4))
    assert score(run, "sts", examples, answers) == ("sts", "pearson", 0.0, 4)
    assert "sts: pearson undefined on 4 examples: all 4 labels are 3, counts as 0" in caplog.text


def test_the_files_of_two_predictions_never_mix(mtl_predict, quick_run, tmp_path, monkeypatch):
    """A second process waits for the folder's lock, from the first file to the last."""
    write, waiting = splits.write_split, []

    def checked(path, *arguments):
        with open_folder(path.parent) as descriptor, pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        waiting.append(path.name)
        write(path, *arguments)

    monkeypatch.setattr(splits, "write_split", checked)
    done = mtl_predict(quick_run(*RUN), "--split", "dev", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    assert sorted(waiting) == sorted(path.name for path in (tmp_path / "o").iterdir())


@contextmanager
def open_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.mark.slow
def test_two_processes_each_leave_whole_files(quick_run, tmp_path):
    """Both of the same tasks: the last to end wins; disjoint tasks: both stay."""
    run, command = quick_run(*RUN), [sys.executable, "-m", "mtl_sharing.cli.predict"]
    alone = tmp_path / "alone"
    words = ("--split", "dev", "--device", "cpu")
    subprocess.run([*command, run, *words, "--out", alone], check=True)
    for choices in (((), ()), (("--tasks", "sst"), ("--tasks", "quora,sts"))):
        out = tmp_path / str(len(choices[0]))
        both = [subprocess.Popen([*command, run, *words, *c, "--out", out]) for c in choices]
        assert [process.wait() for process in both] == [0, 0]
        files = {path.name: path.read_bytes() for path in out.iterdir()}
        assert files == {path.name: path.read_bytes() for path in alone.iterdir()}
