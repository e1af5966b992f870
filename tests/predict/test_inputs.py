"""Predictions of texts that lie in no file, and to the standard output."""

import gzip
import io
import json
import sys
from contextlib import redirect_stdout

import pandas as pd
import pytest

from mtl_sharing.predict.loading import load_run
from mtl_sharing.utils.terminal import PrintableOutput

RUN = ("encoder.layers=2", "sharing.plan=S1-I1")
TEXTS = ["a good film", "bad, bad"]


class Stdin:
    def __init__(self, content):
        self.buffer = io.BytesIO(content)

    def isatty(self):
        return False


@pytest.fixture
def folder(quick_run):
    return quick_run(*RUN)


@pytest.fixture
def expected(folder):
    return load_run(folder, "cpu").predict(TEXTS)["sst"].tolist()


@pytest.fixture
def piped(mtl_predict, folder, monkeypatch):
    """What the command prints for bytes on its standard input."""

    def predict(content: bytes, *words):
        monkeypatch.setattr(sys, "stdin", Stdin(content))
        return mtl_predict(folder, "--input", "-", *words)

    return predict


def table(done, **options):
    assert done.code == 0, done.err
    return pd.read_csv(io.StringIO(done.out), **options)


def test_a_string_is_answered_on_the_standard_output(mtl_predict, folder, expected):
    done = mtl_predict(folder, "--string", TEXTS[0])
    rows = table(done)
    assert rows["text"].tolist() == TEXTS[:1] and rows["sst"].tolist() == expected[:1]
    assert "rows   1 in" in done.err and "left out: quora, sts" in done.err
    done = mtl_predict(folder, "--string", *TEXTS, "--format", "jsonl", "--tasks", "sts")
    row = json.loads(done.out)
    assert list(row) == ["text", "text_pair", "sts"] and row["text_pair"] == TEXTS[1]


STREAMS = {
    "lines": b"a good film\nbad, bad\n",
    "lines without an end": b"\xef\xbb\xbfa good film\r\n\r\nbad, bad",
    "CSV": b'id,text\n1,a good film\n2,"bad, bad"\n',
    "semicolons": b"id;text\n1;a good film\n2;bad, bad\n",
    "TSV": b"id\ttext\n1\ta good film\n2\tbad, bad\n",
    "a column": b"text\na good film\nbad, bad\n",
    "JSON lines": b'\n{"text": "a good film"}\n{"text": "bad, bad", "id": 3}\n',
    "lines in gzip": gzip.compress(b"a good film\nbad, bad\n"),
    "JSON lines in gzip": gzip.compress(b'{"text": "a good film"}\n{"text": "bad, bad"}\n'),
    "JSON": b' [{"text": "a good film"}, {"text": "bad, bad"}]',
}


@pytest.mark.parametrize("content", STREAMS.values(), ids=STREAMS)
def test_the_standard_input_is_a_table_or_lines(piped, expected, content):
    done = piped(content, "--format", "jsonl")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    assert [row["sst"] for row in rows] == expected
    assert "standard input: " in done.err and "mtl-predict-" not in done.err


def test_the_output_has_the_format_of_the_standard_input(piped):
    assert piped(STREAMS["lines"]).out.startswith("text,sst,")
    assert piped(STREAMS["semicolons"]).out.startswith("id,text,sst,")
    assert piped(STREAMS["TSV"]).out.startswith("id\ttext\tsst\t")
    assert json.loads(piped(STREAMS["JSON"]).out.splitlines()[0])


@pytest.mark.parametrize(("content", "words", "message"), [
    (b"", (), "standard input: found no row"),
    (b"text\n", (), "standard input: found no row"),
    (b"a\tb\n1\t2\n", (), "standard input: found no column 'text' (--text)"),
    (b"a film\nbad\n", ("--text", "body"), "standard input: found no column 'body' (--text)"),
    (b"\xff\n", (), "standard input:1: found the byte 0xff, which is not UTF-8"),
    (b"text,text\na,b\n", (), "standard input:1: found columns named twice: text"),
    (b'{"text": "a"\n', (), "standard input:1: found bad JSON"),
    (b" \n\t\n", (), "standard input: found no row"),
    (b"a film\nbad\n", ("--tasks", "quora"), "'text_pair' (--text-pair): it is plain text"),
    (b"PAR1", (), "standard input: found a broken file"),
    (b"\x1f\x8b\x00", (), "standard input: found broken gzip data"),
    (b"a good film\n", ("--format", "parquet"), "--out: found parquet to the standard output"),
])  # fmt: skip
def test_a_standard_input_that_cannot_be_read_is_told(piped, content, words, message):
    done = piped(content, *words)
    assert done.code == 2 and message in done.err and not done.out


def test_a_text_in_brackets_is_no_json(piped):
    done = piped(b"[sarcasm] great film\n{so} bad\n")
    assert table(done)["text"].tolist() == ["[sarcasm] great film", "{so} bad"]


def test_a_column_alone_is_written_as_csv(piped):
    done = piped(b'text\n"hello, you"\nbye\n')
    assert table(done)["text"].tolist() == ["hello, you", "bye"]


def test_streams_that_are_closed_are_told(mtl_predict, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    done = mtl_predict(folder, "--input", "-")
    assert done.code == 2 and "standard input: found no input, it is closed" in done.err
    with redirect_stdout(None):
        done = mtl_predict(folder, "--string", "a")
    assert done.code == 2 and "the standard output: found no output, it is closed" in done.err


def test_a_string_has_no_options_of_a_table(mtl_predict, folder):
    done = mtl_predict(folder, "--string", "a", "--delimiter", ",")
    assert done.code == 2 and "--delimiter: found an option of tables, with --string" in done.err


def test_a_split_needs_a_folder(mtl_predict, folder):
    done = mtl_predict(folder, "--split", "dev")
    assert done.code == 2 and "--out: found none with --split; allowed: a folder" in done.err


def test_a_standard_input_may_be_written_to_a_folder(piped, tmp_path, expected):
    done = piped(STREAMS["lines"], "--out", tmp_path)
    assert pd.read_csv(tmp_path / "predictions.csv")["sst"].tolist() == expected
    assert done.code == 0 and "predictions.csv" in done.out


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_no_control_characters_of_a_text():
    for output, written in ((Terminal(), "\\x1b]0;x\\x07\n"), (io.StringIO(), "\x1b]0;x\x07\n")):
        PrintableOutput(output).write("\x1b]0;x\x07\n")
        assert output.getvalue() == written
