"""Odd files of tables: every line is used, skipped with a reason, or refused in words that help."""

import csv
import gzip
import logging
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtl_sharing.data.examples.examples import Example, LoadedExamples
from mtl_sharing.data.examples.label_counts import warn_of_labels
from mtl_sharing.data.examples.splits import read_split
from mtl_sharing.data.settings import SuiteConfig
from mtl_sharing.data.tables.quotes import QuoteStyle, quote_style
from mtl_sharing.data.tables.tables import TableFile
from mtl_sharing.data.tasks.sources import ColumnsConfig
from mtl_sharing.data.tasks.task import TaskConfig, TaskSpec, task_spec
from mtl_sharing.errors import UserError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
NAMED = {"kind": "classes", "labels": ["bad", "good"]}
BINARY = {"kind": "binary"}


def spec(name: str, **fields: Any) -> TaskSpec:
    return task_spec("x", TaskConfig(train=[name], dev=[name], **fields))


def write(folder: Path, name: str, content: Any) -> None:
    if name.endswith(".parquet"):
        pq.write_table(pa.table(content), folder / name)
        return
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def read(folder: Path, name: str, content: Any, **fields: Any) -> list[Example]:
    write(folder, name, content)
    return read_split(spec(name, **fields), "train", SuiteConfig(), str(folder)).examples


# Name, content, fields of the task, (text, label) of the examples, the line that adds up.
READ: dict[str, tuple[str, Any, dict[str, Any], list[tuple[str, Any]], str]] = {
    "quotes are text in a TSV": (
        "a.tsv", 'text\tlabel\n"oh\tgood\nno\tbad\n"hm" ok\tbad\n', NAMED,
        [('"oh', 1), ("no", 0), ('"hm" ok', 0)], "4 lines read: 1 header, 3 examples"),
    "a swallowed row whose quote closes": (
        "a.tsv", 'text\tlabel\n"oh\tgood\nno"\tbad\n', NAMED,
        [('"oh', 1), ('no"', 0)], "3 lines read: 1 header, 2 examples"),
    "an open quote in a CSV without others": (
        "a.csv", 'text,label\n"oh,good\nno,bad\n', NAMED,
        [('"oh', 1), ("no", 0)], "3 lines read: 1 header, 2 examples"),
    "line ends inside quotes": (
        "a.csv", 'text,label\n"a\n\nb, c",good\n\n"d ""e""",bad\n', NAMED,
        [("a\n\nb, c", 1), ('d "e"', 0)],
        "6 lines read: 1 header, 2 examples, 1 blank, 2 inside quoted fields"),
    "every reason": (
        "a.csv", "text,label\na,good\n,good\nnan,bad\na,b,good\n b ,bad\n", NAMED,
        [("a", 1), ("b", 0)], "6 lines read: 1 header, 2 examples, 3 skipped (1 x nothing in column"
        " 'text'; 1 x 'nan' in column 'text', which counts as missing; 1 x 3 fields where the "
        "header has 2)"),
    "gzip": ("a.csv.gz", "text,label\r\na,good\r\n", NAMED, [("a", 1)], "2 lines read: 1 header"),
    "JSON lines in gzip": ("a.jsonl.gz", '{"text": "a", "label": 1}\n\n', BINARY, [("a", 1)],
                           "2 lines read: 1 examples, 1 blank"),
    "gzip by its first bytes": ("a.tsv", gzip.compress(b"text\tlabel\na\t1\n"), BINARY,
                                [("a", 1)], "2 lines read"),
    "no gzip in spite of its name": ("A.CSV", "text,label\na,1", BINARY, [("a", 1)], "2 lines"),
    "a JSON array": ("a.json", '\n[{"text": "a", "label": 1},\n {"label": 0, "text": 7}]\n', BINARY,
                     [("a", 1), ("7", 0)], "1 lines and 2 rows read: 2 examples, 1 blank"),
    "JSON lines by another name": ("a.json", '{"text": "a", "label": 1}\n', BINARY, [("a", 1)],
                                   "1 lines read: 1 examples"),
    "half of a surrogate pair": ("a.jsonl", '{"text": "a\\ud83d", "label": "caf\\u00e9"}',
                                 {"kind": "classes", "labels": ["tea", "cafe\u0301"]},
                                 [("a\ufffd", 1)], "1 lines read"),
    "booleans by their names": (
        "a.jsonl", '{"text": "a", "label": false}\n{"text": "b", "label": true}\n',
        {"kind": "binary", "labels": ["true", "false"]}, [("a", 1), ("b", 0)], "2 lines read"),
    "booleans without names": ("a.parquet", {"text": ["a", "b"], "label": [True, False]}, BINARY,
                               [("a", 1), ("b", 0)], "2 rows read: 2 examples"),
    "whole numbers stored as 1.0": (
        "a.parquet", {"text": ["a", "b", "c"], "label": [2.0, 1.0, None]},
        {"kind": "classes", "labels": ["1", "2"]}, [("a", 1), ("b", 0)],
        "3 rows read: 2 examples, 1 skipped (1 x nothing in column 'label')"),
    "decimals": ("a.parquet", {"text": ["a"], "label": [Decimal("1.50")]},
                 {"kind": "regression", "range": [0, 2]}, [("a", 1.5)], "1 rows read"),
    "names that look missing": (
        "a.csv", "text,label\na,nan\nb,None\nc,NA\nd,NaN\ne,\n",
        {"kind": "classes", "labels": ["nan", "None", "NA"]}, [("a", 0), ("b", 1), ("c", 2)],
        "6 lines read: 1 header, 3 examples, 2 skipped"),
    "leading zeros in quotes": ("a.csv", "text,label\na,02\n",
                                {"kind": "classes", "labels": ["01", "02"]}, [("a", 1)], "2 lines"),
    "lists beside texts": (
        "a.parquet", {"text": ["a", "b"], "label": [1, 0], "words": [["a"], ["b"]]}, BINARY,
        [("a", 1), ("b", 0)], "2 rows read: 2 examples"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "fields", "examples", "line"), READ.values(), ids=READ)
def test_every_line_is_used_or_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: Any,
    fields: dict[str, Any], examples: list[tuple[str, Any]], line: str,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    found = read(tmp_path, name, content, **fields)
    assert [(example.text, example.label) for example in found] == examples
    assert f"x train: {line}" in caplog.text


REFUSED: dict[str, tuple[str, Any, dict[str, Any], str]] = {
    "a quote that is never closed": (
        "a.csv", 'text,label\n"a, b",good\n"c, d",good\n"e,bad\nf,bad\n', NAMED,
        r"a\.csv:4: found a quote .* never closed, up to .* line 5; .*format\.quoting=false"),
    "list cells": (
        "a.parquet", {"text": [["a"]] * 240, "label": [1] * 240}, BINARY,
        r"240 bad rows, the first is .*a\.parquet:1: a list in column 'text', where one text"),
    "list cells of JSON": (
        "a.jsonl", '{"text": ["a"], "label": [1]}\n', BINARY,
        r"1 bad rows, the first is .*a\.jsonl:1: a list in column 'label', where one text"),
    "JSON by columns": (
        "a.json", '{"text": {"0": "a"}, "label": {"0": 1}}', BINARY,
        r"a\.json:1: an object in column 'label', .*orient='records'"),
    "a boolean that is no name": (
        "a.jsonl", '{"text": "a", "label": false}', NAMED, 
        r"a\.jsonl:1: found the boolean false as a label; allowed: bad, good; booleans are named "
        r"'false' and 'true'"),
    "a boolean of Parquet": (
        "a.parquet", {"text": ["a"], "label": [True]}, NAMED,
        r"a\.parquet:1: found the boolean true as a label; .*booleans are named 'false'"),
    "rows inside an object": (
        "a.json", '{"data": [{"text": "a", "label": 1}]}', BINARY,
        r"a\.json: found one object, whose field 'data' is a list; allowed: one JSON object"),
    "rows deep in an object over several lines": (
        "a.json", '{"a": {\n"rows": [[1]]\n}}', BINARY,
        r"a\.json:1: found one object over several lines, whose field 'a\.rows' is a list; "),
    "objects over several lines": (
        "a.jsonl", '{\n"text": "a"\n}\n{\n"text": "b"\n}', BINARY,
        r"a\.jsonl:1: found one object over several lines; allowed: one JSON object a line, or"),
    "keys twice": (
        "a.jsonl", '\n{"text": "a", "label": 1, "label": 0}', BINARY,
        r"1 bad rows, the first is .*a\.jsonl:2: the key 'label' twice"),
    "a key twice in an array": (
        "a.json", '[{"text": "a", "text": "b", "label": 0}]', BINARY,
        r"1 bad rows, the first is .*a\.json:1: the key 'text' twice"),
    "yes for a binary task": (
        "a.csv", "text,label\na,yes\n", BINARY,
        r"a\.csv:2: found the label 'yes'; .*0 to 1, or names in .*labels: \['no', 'yes'\]"),
    "letters that look alike": (
        "a.csv", "text,label\na,g\u043eod\n", NAMED,
        r"\(nearest: good, 'good' not 'g\\u043eod'\)"),
    "a column in another Unicode form": (
        "a.csv", "cafe\u0301,label\na,1\n", {**BINARY, "columns": ColumnsConfig(text="caf\u00e9")},
        r"'cafe\\u0301' not 'caf\\xe9'"),
    "a table with another delimiter": (
        "a.tsv", "text,label\na,1\n", BINARY, r"allowed: text,label.*task\.x\.format\.delimiter"),
    "leading zeros that YAML drops": (
        "a.csv", "text,label\na,010\n", {"kind": "classes", "labels": ["8", "9"]},
        r"the label '010'; allowed: 8, 9 \(YAML reads 010 as 8: quote it"),
    "an array that ends early": (
        "a.json", '[{"text": "a"},\n{"text": "b"}', BINARY,
        r"a\.json:2: found bad JSON \('' where , or \] belongs"),
    "an array of texts": ("a.json", '["a"]', BINARY, r"a\.json:1: .*one array of objects"),
    "text behind an array": (
        "a.json", '[{"text": "a"}]\n{}', BINARY, r"a\.json:2: .*text after the array: '\{\}'"),
    "gzip that ends early": (
        "a.tsv", gzip.compress(b"text\tlabel\na\t1\n")[:-4], BINARY, r"a\.tsv: found broken gzip"),
    "Parquet in gzip": ("a.parquet.gz", b"", BINARY, r"found Parquet in gzip; .*gunzip"),
    "UTF-16": ("a.csv", "text,label\n".encode("utf-16"), BINARY, r"found UTF-16 text"),
    "no header": (
        "a.csv", "fine,good\n", NAMED,
        r"allowed: fine, good; if the file has no header, task\.x\.format\.header=false and col"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "fields", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_in_words_that_help(
    tmp_path: Path, name: str, content: Any, fields: dict[str, Any], message: str
) -> None:
    if name == "a.parquet.gz":
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=message):
        read(tmp_path, name, content, **fields)


@pytest.mark.parametrize("others", [0, 1, 41])
def test_the_first_long_quoted_field_is_told_and_the_others_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, others: int
) -> None:
    long = '"' + "words words\n" * 11 + '",good\n'
    rows = read(tmp_path, "a.csv", 'text,label\n"a, b",bad\n' + long * (1 + others), **NAMED)
    assert len(rows) == 2 + others
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert f"{tmp_path}/a.csv:3: a quoted field runs over 12 lines" in told[0]
    assert "format.quoting=false" in told[0]
    fields = "quoted field" if others == 1 else "quoted fields"
    last = f"a.csv: and {others} more {fields} over several lines, the last at line"
    assert told[1:] == ([f"{tmp_path}/{last} {3 + 12 * others}"] if others else [])


def test_long_fields_beside_one_that_the_start_of_the_file_shows_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = '"' + "words words\n" * 11 + '",good\n'
    write(tmp_path, "a.csv", "text,label\n" + '"a, b",good\n' * 30 + '"e\n3,f" g,good\n' + long * 2)
    list(TableFile(tmp_path / "a.csv").records())
    first, last = caplog.messages
    assert "a.csv:32: a quoted field seems to hold other rows" in first
    assert last.endswith("a.csv: and 2 more quoted fields over several lines, the last at line 46")


TWO_LINES: dict[str, tuple[str, str, bool]] = {
    "the text last": ("label,text", '0,"oh\n0,z"', True),
    "the text first": ("text,label", '"oh,0\nz",0', True),
    "the text between": ("id,text,label", '1,"oh,0\n2,z",1', True),
    "a line break in a text that is last": ("label,text", '0,"oh\nz"', False),
    "a line break in a text that is first": ("text,label", '"oh\nz",0', False),
    "a line break and a comma in the first line": ("label,text", '0,"oh, z\ny"', False),
    "a line break between": ("id,text,label", '1,"oh\nz",1', False),
    "one column": ("text", '"oh\nz"', False),
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("head", "field", "is_told"), TWO_LINES.values(), ids=TWO_LINES)
def test_two_rows_in_one_quoted_field_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, head: str, field: str, is_told: bool, end: str
) -> None:
    """Most quotes of the file quote, so that they are read so here too."""
    quoted = ",".join('"a, b"' for _ in head.split(","))
    text = "\n".join([head, *[quoted] * 20, field, *[quoted] * 9, ""])
    (tmp_path / "a.csv").write_bytes(text.replace("\n", end).encode())
    assert len(list(TableFile(tmp_path / "a.csv").records())) == 30
    where = f"{tmp_path}/a.csv:22: a quoted field runs over 2 lines"
    assert [message.partition(";")[0] for message in caplog.messages] == [where] * is_told


@pytest.mark.parametrize("swallowed", ['"e\n3,f" g,good\n', '"e\nf,bad\ng,bad\nh,"i, j" k\n'])
def test_a_short_field_that_swallows_rows_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, swallowed: str
) -> None:
    """Most quotes of the file quote, so that this one field is wrong."""
    write(tmp_path, "a.csv", "text,label\n" + '"a, b",good\n' * 30 + swallowed)
    list(TableFile(tmp_path / "a.csv").records())
    assert len(caplog.messages) == 1
    assert "a.csv:32: a quoted field seems to hold other rows" in caplog.text
    assert "format.quoting=false" in caplog.text


def test_quotes_read_as_text_are_told_once_for_each_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read(tmp_path, "a.tsv", 'text\tlabel\nyes\tgood\n"oh\tgood\nno\tbad\n', **NAMED)
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(told) == 1 and "a.tsv:3: a quote begins a field" in told[0]
    assert "format.quoting=false" in told[0]


@pytest.mark.parametrize(
    ("content", "is_text"),
    [
        ('a\tb\n"x ""y""\tz"\t1\n', False),
        ('a\tb\n"x" y\t1\n', True),
        ("a\tb\n" + '"x"\t1\n' * 3 + '"x" y\t1\n', False),
        ("a\tb\n" + '"x"\t1\n' * 3 + '"x\t1\n' + "y\t1\n" * 9 + '"x" y\t1\n', True),
        ('"a"\t"b"\n"x\t1"\t"1"\n"y "z" y"\t"1"\n', False),
        ('a\n"x\ny"\n', False),
    ],
)
def test_the_quotes_of_a_file_decide(content: str, is_text: bool) -> None:
    for text in (content, content.replace("\n", "\r\n"), content.replace("\n", "\r")):
        assert quote_style(text.encode(), "\t").is_text is is_text


def test_a_long_line_of_odd_quotes_takes_no_time() -> None:
    assert quote_style(b'"a"b,' * 400_000, ",").line <= 1


def test_a_field_that_the_sample_cuts_weighs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'a\tb\n"x\t1\ny\t2\n'
    assert quote_style(text, "\t") == QuoteStyle(True, 2)
    monkeypatch.setattr("mtl_sharing.data.tables.quotes.SAMPLE", len(text))
    assert quote_style(text, "\t") == QuoteStyle(False)


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data on this machine")
def test_real_files_are_read_as_they_are_written() -> None:
    """The course quotes its fields; MRPC and SICK do not, and quotes are part of their text."""
    quoted = [quote_style(path.read_bytes(), "\t") for path in (SHARED / "cs224n").glob("*.csv")]
    assert quoted and set(quoted) == {QuoteStyle(False)}
    for split, rows in (("train", 4076), ("test", 1725)):
        path = SHARED / "mrpc" / f"msr_paraphrase_{split}.txt"
        plain, sniffed = TableFile(path, quoting=False).records(), TableFile(path).records()
        records = list(sniffed)
        assert records == list(plain) and len(records) == rows


def loaded(
    labels: dict[str, list[Any]], limits: dict[str, int | None] | None = None
) -> dict[str, LoadedExamples]:
    return {
        split: LoadedExamples(
            [Example(str(n), "a", None, label) for n, label in enumerate(values)],
            limit=(limits or {}).get(split),
        )
        for split, values in labels.items()
    }


@pytest.mark.parametrize(
    ("labels", "limits", "told"),
    [
        ({"train": [0, 1, 2], "dev": [0, 1, 2]}, {}, []),
        ({"train": [0, 0, 1], "dev": [0, 1, 2]}, {},
         ["x: train (3 examples) has no example of ok; dev has 1"]),
        ({"train": [0, 1, 2], "dev": [2, 2]}, {},
         ["x: dev has one class alone, ok (2 examples), and no bad, good"]),
        ({"train": [0, 0], "dev": [0, 1], "select": [0, 1, 2]}, {"train": 2, "dev": None},
         ["x: train has one class alone, bad (2 examples), and no good, ok; suite.max_train_rows=2 "
          "takes the first rows: shuffle the file",
          "x: dev (2 examples) has no example of ok; train has 0, select has 1"]),
    ],
)  # fmt: skip
def test_classes_that_a_split_lacks_are_told_once(
    caplog: pytest.LogCaptureFixture, labels: dict[str, list[int]], limits: dict[str, int | None],
    told: list[str],
) -> None:  # fmt: skip
    task = spec("a.csv", kind="classes", labels=["bad", "good", "ok"])
    warn_of_labels(task, loaded(labels, limits))
    assert caplog.messages == told


def test_constant_scores_are_told(caplog: pytest.LogCaptureFixture) -> None:
    task = spec("a.csv", kind="regression", range=[0, 5])
    warn_of_labels(task, loaded({"train": [1.0, 2.0], "dev": [2.5, 2.5]}))
    assert caplog.messages == ["x: all 2 dev labels are 2.5, a constant"]


@pytest.mark.parametrize(("limit", "reached"), [(1, 1), (100_000, None), (None, None)])
def test_a_limit_is_a_cause_where_it_ended_the_reading(
    tmp_path: Path, limit: int | None, reached: int | None
) -> None:
    write(tmp_path, "a.csv", "text,label\na,bad\nb,bad\n")
    task = spec("a.csv", **NAMED)
    assert read_split(task, "train", SuiteConfig(), str(tmp_path), limit).limit == reached


def test_a_limit_is_no_cause_where_examples_are_generated() -> None:
    task = task_spec("sst", TaskConfig(kind="classes", classes=5))
    assert read_split(task, "train", SuiteConfig(), None, 1).limit is None


ESCAPED: dict[str, tuple[str, list[str]]] = {
    "a quote inside": (r'"he said \"hi\" and left",0', ['he said "hi" and left']),
    "a delimiter behind it": (r'"he said \"hi\", then left",0', ['he said "hi", then left']),
    "one quote and a delimiter": (r'"he said \", then left",0', ['he said ", then left']),
    "a quote first and last": (r'"\"hi\"",0', ['"hi"']),
    "escaped backslashes": (r'"a \"b\" C:\\dir\\",0', ["a \"b\" C:\\dir\\"]),
    "other backslashes": (r'"a \"b\" C:\new",0', ["a \"b\" C:\\new"]),
    "outside of quotes": ("\"a, \\\"b\\\"\",0\nc \\\"d\\\",1", ['a, "b"', 'c "d"']),
    "line breaks": ('"a \\"b\\"\nc",0', ['a "b"\nc']),
    "doubled quotes beside": ('"a ""b""",0\n"c \\"d\\" e",1', ['a "b"', 'c "d" e']),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "texts"), ESCAPED.values(), ids=ESCAPED)
def test_escaped_quotes_are_read_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rows: str, texts: list[str]
) -> None:
    write(tmp_path, "a.csv", f"text,label\n{rows}\n")
    records = list(TableFile(tmp_path / "a.csv").records())
    assert [record.fields["text"] for record in records] == texts
    assert all(record.problem is None for record in records)
    [message] = caplog.messages
    assert "a backslash stands before a quote inside a quoted field" in message
    assert re.search(r"a\.csv:[23]: ", message)


def test_what_the_csv_module_escapes_is_read_back(tmp_path: Path) -> None:
    texts = ['he said "hi", then left', '"a"', "C:\\new", "a\\", 'x\\"y, z', "a, b", "a\nb"]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.writer(file, escapechar="\\", doublequote=False)
        writer.writerows([["text", "label"], *[[text, "1"] for text in texts]])
    records = list(TableFile(tmp_path / "a.csv").records())
    assert [record.fields["text"] for record in records] == texts


@pytest.mark.parametrize("rows", ['"C:\\a\\",0\n"D:\\b\\",1', '0,"C:\\"\n1,"D:\\"\n1,""'])
def test_a_backslash_that_ends_a_quoted_field_is_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rows: str
) -> None:
    write(tmp_path, "a.csv", f"a,b\n{rows}\n")
    cells = [cell for r in TableFile(tmp_path / "a.csv").records() for cell in r.fields.values()]
    assert cells == rows.replace('"', "").replace("\n", ",").split(",")
    assert not caplog.messages


def test_text_behind_a_closing_quote_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = '"a, b",1\n' * 20 + '"he said "hi" again",1\n' * 2
    write(tmp_path, "a.csv", f"text,label\n{rows}")
    list(TableFile(tmp_path / "a.csv").records())
    [message] = caplog.messages
    assert "a.csv:22: text follows the closing quote of a field" in message


def test_a_field_that_a_backslash_may_have_cut_is_told(tmp_path: Path) -> None:
    """As many fields speak for escapes as against, so that quotes are read as usual."""
    write(tmp_path, "a.csv", 'text,label\n"C:\\",0\n"a \\", b",1\n')
    *_, last = TableFile(tmp_path / "a.csv").records()
    assert last.problem == '3 fields where the header has 2, and a \\" that ends a field'
