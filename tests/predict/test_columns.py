"""The columns and the delimiter of training are those of prediction, too."""

import pandas as pd
import pytest

from mtl_sharing.predict.columns import TextColumns, choose_columns
from mtl_sharing.predict.loading import load_run
from mtl_sharing.predict.table_files import open_input
from mtl_sharing.predict.tables import _readings
from report_runs import change_json

COLUMNS = {
    "settings.task.sst.columns.text": "body", "settings.task.sst.format.delimiter": "\t",
    "settings.task.quora.columns.text": "first", "settings.task.quora.columns.text_pair": "second",
    "settings.task.sts.columns.text": "body", "settings.task.sts.columns.text_pair": "reply",
}  # fmt: skip
NAMES = ("body", "first", "second", "reply")
ROWS = [("good, good film", "is it?", "it is", "fine"), ("bad film", "who?", "what?", "no")]


@pytest.fixture
def folder(moved):
    """A run whose tasks were trained on columns of other names."""
    folder = moved("encoder.layers=2", "sharing.plan=S1-I1")
    change_json(folder / "config.json", COLUMNS)
    return folder


def write(path, names, rows, delimiter=","):
    quoted = [[f'"{cell}"' if delimiter in cell else cell for cell in row] for row in rows]
    path.write_text("".join(delimiter.join(row) + "\n" for row in (names, *quoted)))
    return path


@pytest.fixture
def predicted(mtl_predict, folder, tmp_path):
    """What the command printed, and its table, for a file of these columns."""

    def predict(names, *words, rows=ROWS, delimiter=","):
        cells = [[dict(zip(NAMES, row, strict=True)).get(n, n) for n in names] for row in rows]
        path = write(tmp_path / "in.csv", names, cells, delimiter)
        done = mtl_predict(folder, "--input", path, "--out", tmp_path / "o", *words)
        table = tmp_path / "o" / "predictions.csv"
        return done, pd.read_csv(table) if done.code == 0 else None

    return predict


def columns_of(row):
    return dict(zip(NAMES, zip(*row, strict=True), strict=True))


def test_tasks_read_the_columns_of_their_training(predicted, folder):
    done, table = predicted(NAMES)
    assert done.code == 0, done.err
    run, cells = load_run(folder, "cpu"), columns_of(ROWS)
    alone = run.predict(cells["body"])
    questions = run.predict(cells["first"], cells["second"], ["quora"])
    replies = run.predict(cells["body"], cells["reply"], ["sts"])
    assert table["sst"].tolist() == alone["sst"].tolist()
    assert table["quora"].tolist() == questions["quora"].tolist()
    assert table["sts"].tolist() == pytest.approx(replies["sts"].tolist(), abs=1e-5)
    assert "read as in training: first and second for quora\n" in done.err
    assert "read as in training: body and reply for sts\n" in done.err


def test_tasks_without_their_columns_are_left_out(predicted):
    done, table = predicted(["first", "second", "body"])
    assert "left out: sts, for want of a column reply or text_pair (--text-pair)\n" in done.err
    assert {"sst", "quora"} <= set(table) and "sts" not in table


def test_the_common_names_work_as_well(predicted):
    done, table = predicted(["text", "text_pair"])
    assert done.code == 0 and {"sst", "quora", "sts"} <= set(table)
    assert "as in training" not in done.err


@pytest.mark.parametrize(("names", "words", "message"), [
    (["title", "reply"], [], "no column 'body' or 'text' (--text)"),
    (["body", "text_pair"], ["--tasks", "sts"], "no column 'reply' (--text-pair)"),
    (["text", "reply"], ["--tasks", "sts"], "no column 'body' (--text)"),
    (["body"], ["--tasks", "sst,sts"], "no column 'reply' or 'text_pair' (--text-pair)"),
    (["body"], ["--text", "title"], "no column 'title' (--text)"),
])  # fmt: skip
def test_a_missing_column_is_told_by_all_names_that_would_do(predicted, names, words, message):
    done, _ = predicted(names, *words)
    assert done.code == 2 and message in done.err


def test_named_columns_come_before_those_of_training(predicted):
    done, table = predicted(["body", "first"], "--text", "first", "--tasks", "sst")
    other, alone = predicted(["body"], "--tasks", "sst")
    assert done.code == other.code == 0
    assert table["sst_probability"].tolist() != alone["sst_probability"].tolist()


def test_the_delimiter_of_training_is_found(predicted):
    done, table = predicted(["id", "body"], delimiter="\t")
    assert done.code == 0, done.err
    assert r"in.csv: fields are separated by '\t'" in done.err
    assert table["body"].tolist() == ["good, good film", "bad film"]
    done, _ = predicted(["id", "body"], delimiter=",")
    assert done.code == 0 and "separated" not in done.err
    done, _ = predicted(["id", "body"], "--delimiter", ",", delimiter="\t")
    assert done.code == 2 and "another delimiter is --delimiter" in done.err
    done, _ = predicted(["id", "body"], delimiter=";")
    assert done.code == 2 and "another delimiter is --delimiter" in done.err


@pytest.mark.parametrize(
    "text",
    [
        "good film",
        'good film\n\nbad\tfilm, "bad"\n',
        "oh\r\nwell\r\n",
        " \n\t\na\x1fb, c\rd\n\x00e\n",
    ],
)
def test_a_text_file_has_a_text_in_each_line(mtl_predict, folder, tmp_path, text):
    path = tmp_path / "texts.txt"
    path.write_bytes(text.encode())
    done = mtl_predict(folder, "--input", path, "--out", tmp_path, "--format", "jsonl")
    assert done.code == 0, done.err
    assert "texts.txt: plain text, a text in each line (the first, " in done.err
    table = pd.read_json(tmp_path / "predictions.jsonl", lines=True)
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    assert table["text"].tolist() == lines
    assert table["sst"].tolist() == load_run(folder, "cpu").predict(lines)["sst"].tolist()
    assert "left out: quora, for want of a column second or text_pair" in done.err


def test_a_text_file_with_a_header_is_a_table(mtl_predict, folder, tmp_path):
    for text, code in (("body\ngood film\n", 0), ("id\tbody\n1\tgood\n", 0), ("a\tb\n1\t2\n", 2),
                       ("body\n", 2), ("", 2)):  # fmt: skip
        (tmp_path / "in.txt").write_text(text)
        done = mtl_predict(folder, "--input", tmp_path / "in.txt", "--out", tmp_path)
        assert done.code == code and "plain text" not in done.err
    assert "in.txt: found no row" in done.err


def test_rows_without_a_text_are_counted_for_the_tasks_that_read_it(predicted):
    done, table = predicted(NAMES, rows=[*ROWS, ("", "a", "b", "c"), ("a", "b", "", "c")])
    assert table["sst"].isna().tolist() == [False, False, True, False]
    assert table["quora"].isna().tolist() == [False, False, False, True]
    assert "no predictions of sst, sts of rows without text: 1\n" in done.err
    assert "no predictions of quora of rows without a second text: 1\n" in done.err


def test_tasks_with_one_text_are_predicted_in_one_pass(folder, tmp_path):
    run = load_run(folder, "cpu")
    table = open_input(write(tmp_path / "in.csv", NAMES, ROWS), None)
    columns = choose_columns(run, table, (None, None), None, None, "")
    tasks = {reading.columns: reading.tasks for reading in _readings(run, columns)}
    assert tasks == {
        TextColumns("body", "reply"): ("sst", "sts"),
        TextColumns("first", "second"): ("quora",),
    }
