"""``mtl-init`` writes a folder that composes and reads as the tables were, or nothing at all."""

import csv
import gzip
import json
import random
from pathlib import Path

import pandas as pd
import pytest

from mtl_sharing.cli.init import main
from mtl_sharing.data.examples.examples import load_examples, shared_texts
from mtl_sharing.data.tasks.task import task_spec
from support import QUICK, compose_config

# Texts that YAML or OmegaConf would read as other values, or a terminal would obey.
ODD = ["no", "yes", "01", "1e3", "null", "a: b", "it's \"x\"", "${x}", "\\${x}", "#h", "- z", "[a]",
       "\x1b[31mred", "é", "x,y\tz"]  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def init(here, capsys):
    """``mtl-init`` with these arguments: its code, and all that it printed."""

    def call(*arguments):
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return call


def sentence(number):
    words = random.Random(number).choices(["old", "film", "runs", "never", "slow", "end"], k=7)
    return f"{' '.join(words)} {number}"


def write_csv(path, rows, **options):
    with Path(path).open("w", newline="") as file:
        csv.writer(file, **options).writerows(rows)


def tickets(path="tickets.csv", **options):
    names = ("billing", "log in", "yes", "")
    rows = [[1000 + i, "2026-11-30", sentence(i), names[i % 4]] for i in range(80)]
    write_csv(path, [["id", "created", "body", "topic"], *rows], **options)


def composed(folder="mine", suite="mine", *overrides):
    return compose_config([f"hydra.searchpath=['{Path(folder).absolute()}']", f"suite={suite}",
                           *overrides])  # fmt: skip


def read(config, task):
    """The examples of train and dev of a task, and its spec."""
    spec, folder = task_spec(task, config.task[task]), Path(config.data_dir)
    train, dev = (load_examples(spec, split, folder) for split in ("train", "dev"))
    assert train.bad_rows == dev.bad_rows == 0
    return train.examples, dev.examples, spec


def test_two_tables_become_a_suite_that_composes(init):
    tickets()
    pairs = [
        {"q1": sentence(i % 30), "q2": sentence(100 + i), "dup": i % 3 == 0} for i in range(90)
    ]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    code, printed = init("mine", "tickets.csv", "pairs.jsonl")
    assert code == 0, printed
    config = composed()
    assert list(config.task) == ["tickets", "pairs"] and config.suite.name == "mine"
    assert config.encoder.name == "minilm_l6"
    train, dev, spec = read(config, "tickets")
    assert (len(train), len(dev), spec.labels) == (48, 12, ("billing", "log in", "yes"))
    assert (spec.columns.text, spec.columns.label, spec.columns.id) == ("body", "topic", "id")
    assert {example.id for example in train + dev} == {
        str(1000 + i) for i in range(80) if i % 4 < 3
    }
    train, dev, spec = read(config, "pairs")
    assert (len(train) + len(dev), spec.kind, spec.is_pair) == (90, "binary", True)
    assert 12 <= len(dev) <= 18 and shared_texts(train, dev) == (0, 0)
    for line in ("tickets: 20 of 80 train rows have no text or no label", "60 rows are dev",
                 "mtl-train --config-dir=mine suite=mine"):  # fmt: skip
        assert line in printed
    assert composed("mine", "mine", "encoder=tiny").encoder.name == "tiny"


@pytest.mark.parametrize("kind", ["csv", "semicolon", "tsv", "jsonl", "json.gz", "parquet", "bare"])
def test_labels_and_texts_of_any_kind_survive(init, kind):
    rows = [[f"{sentence(i)} \"{ODD[i % 15]}\r\n'x' {i}", ODD[i // 15]] for i in range(15 * 15)]
    name = f"{{a}} ${{b}}.{kind}"
    if kind in ("jsonl", "json.gz"):
        text = json.dumps([{"a b": a, "y:z": b} for a, b in rows])
        if kind == "jsonl":
            text = "\n".join(json.dumps({"a b": a, "y:z": b}) for a, b in rows)
        Path(name).write_bytes(gzip.compress(text.encode()) if kind == "json.gz" else text.encode())
    elif kind == "parquet":
        pd.DataFrame(rows, columns=["a b", "y:z"]).to_parquet(name)
    else:
        delimiter = {"tsv": "\t", "semicolon": ";"}.get(kind, ",")
        name = name if kind in ("csv", "tsv") else f"{name}.csv"
        header = [] if kind == "bare" else [["a b", "y:z"]]
        write_csv(name, header + rows, delimiter=delimiter)
    code, printed = init("${x} y", name)
    assert code == 0 and "\x1b" not in printed, printed
    config = composed("${x} y", "x_y")
    (task,) = config.task
    train, dev, spec = read(config, task)
    assert spec.labels is not None
    found = {(example.text, spec.labels[example.label]) for example in train + dev}
    assert found == {(text.strip(), label) for text, label in rows}


def test_given_files_are_used_as_they_are(init):
    for split, start in (("train", 0), ("dev", 100), ("test", 200)):
        rows = [[sentence(start + i), i % 5 / 4] for i in range(20)]
        write_csv(f"x-{split}.csv", [["text", "score"], *rows])
    code, printed = init("mine", "x-train.csv", "x-dev.csv", "x-test.csv")
    assert code == 0, printed
    train, dev, spec = read(composed(), "x")
    assert (len(train), len(dev), spec.kind, spec.low, spec.high) == (20, 20, "regression", 0, 1)
    assert spec.test == (str(Path("x-test.csv").absolute()),)
    assert list(Path("mine/data").iterdir()) == []


def test_a_test_file_with_hidden_labels_is_left_out(init):
    for split, labels in (("train", (0, 1)), ("test", (-1,))):
        rows = [[sentence(i), labels[i % len(labels)]] for i in range(40)]
        write_csv(f"x-{split}.csv", [["text", "label"], *rows])
    code, printed = init("mine", "x-train.csv", "x-test.csv")
    assert code == 0 and "x-test.csv is left out" in printed
    train, dev, spec = read(composed(), "x")
    assert (len(train), len(dev), spec.kind, spec.test) == (32, 8, "binary", ())


BAD = {
    "one column": ("text\na film\na show\n", "one column, 'text'"),
    "latin-1": ("text,label\nä,x\n".encode("latin-1"), "UTF-8"),
    "empty": ("", "an empty file"),
    "header alone": ("text,label\n", "no rows"),
    "bytes": (bytes(range(256)), "UTF-8"),
    "one class": ("text,label\n" + "".join(f"{sentence(i)},x\n" for i in range(9)), "label (one"),
    "unique": ("text,label\n" + "".join(f"{sentence(i)},x{i}\n" for i in range(9)), "different"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_one_message_and_nothing_is_written(init, here, name):
    content, words = BAD[name]
    tickets()
    Path("bad.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    code, printed = init("mine", "tickets.csv", "bad.csv")
    assert code == 2
    assert len(printed.splitlines()) == 1 and "bad.csv" in printed and words in printed
    assert {path.name for path in here.iterdir()} == {"tickets.csv", "bad.csv"}


def test_a_folder_with_something_in_it_is_left_alone(init, here):
    tickets()
    Path("mine").mkdir()
    Path("mine/notes").write_text("mine")
    for folder, words in (("mine", "notes"), ("tickets.csv", "a new folder first")):
        code, printed = init(folder, "tickets.csv")
        assert code == 2 and words in printed
    Path("table.xlsx").touch()
    assert init("other", "table.xlsx")[0] == init("other", "absent.csv")[0] == 2
    assert sorted(path.name for path in here.rglob("*")) == [
        "mine", "notes", "table.xlsx", "tickets.csv",
    ]  # fmt: skip
    Path("mine/notes").unlink()
    assert init("mine", "tickets.csv")[0] == 0  # an empty one is taken


def test_a_failed_write_leaves_nothing(init, here, monkeypatch):
    tickets()

    def fail(*arguments):
        raise OSError(28, "No space left on device", "mine")

    monkeypatch.setattr("mtl_sharing.init.build.suite_text", fail)
    code, printed = init("mine", "tickets.csv")
    assert code == 2 and "full" in printed
    assert [path.name for path in here.iterdir()] == ["tickets.csv"]


@pytest.mark.slow
def test_the_printed_command_trains(init, mtl_train, here):
    tickets()
    _, printed = init("mine", "tickets.csv")
    command = printed.strip().splitlines()[-1].split()
    assert command[0] == "mtl-train"
    done = mtl_train(*command[1:], *QUICK, "encoder.layers=2", "split=1")
    assert done.code == 0, done.err
    assert done.result["tasks"]["tickets"]["examples"] == 12
