import csv
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtl_sharing.data.tables.tables import Record, TableFile
from mtl_sharing.errors import UserError
from mtl_sharing.utils.hashing import file_facts


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,label\nhello,1\nbye,0\n"),
        ("a.tsv", "text\tlabel\nhello\t1\nbye\t0\n"),
        ("a.txt", "text\tlabel\nhello\t1\nbye\t0"),
        ("A.CSV", "text,label\nhello,1\nbye,0\n"),
        ("bom.csv", "\ufefftext,label\nhello,1\nbye,0\n"),
        ("crlf.csv", "text,label\r\nhello,1\r\nbye,0\r\n"),
        ("blank.csv", "text,label\nhello,1\nbye,0\n\n\n"),
        ("padded.csv", " text , label\nhello,1\nbye,0\n"),
    ],
)
def test_every_text_table_gives_the_same_records(tmp_path: Path, name: str, content: str) -> None:
    path = write(tmp_path, name, content)
    assert TableFile(path).columns() == ("text", "label")
    assert list(TableFile(path).records()) == [
        Record(2, {"text": "hello", "label": "1"}),
        Record(3, {"text": "bye", "label": "0"}),
    ]


def test_a_delimiter_replaces_the_extensions_own(tmp_path: Path) -> None:
    for name in ("a.csv", "a.dat"):
        path = write(tmp_path, name, "a;b\n1,5;2\n")
        assert list(TableFile(path, delimiter=";").records()) == [Record(2, {"a": "1,5", "b": "2"})]


def test_quotes_are_text_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", 'a\tb\n"open\tx\nhe said "no"\ty\n')
    rows = [record.fields for record in TableFile(path, quoting=False).records()]
    assert rows == [{"a": '"open', "b": "x"}, {"a": 'he said "no"', "b": "y"}]


def test_lines_are_those_of_the_file_after_quoted_line_breaks(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", '"te\nxt",b\n"one\ntwo\nthree",1\n\nfour,2\n')
    assert list(TableFile(path).records()) == [
        Record(3, {"te\nxt": "one\ntwo\nthree", "b": "1"}),
        Record(7, {"te\nxt": "four", "b": "2"}),
    ]


def test_a_column_without_a_name_is_ignored(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", ",text,\n7,hello,x\n")
    assert TableFile(path).columns() == ("", "text", "")
    assert list(TableFile(path).records()) == [Record(2, {"text": "hello"})]


def test_a_table_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "x\ty\nz\tw\n")
    assert TableFile(path, header=False).columns() == ("0", "1")
    rows = list(TableFile(path, header=False).records())
    assert rows == [Record(1, {"0": "x", "1": "y"}), Record(2, {"0": "z", "1": "w"})]


def test_a_short_row_lacks_its_last_fields(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "a,b,c\n1,2\n")
    assert list(TableFile(path).records()) == [Record(2, {"a": "1", "b": "2", "c": None})]


def test_a_long_row_is_marked_unless_its_surplus_is_empty(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "a,b\n1,2,3\n1,2,,\n")
    first, second = TableFile(path).records()
    assert first.problem == "3 fields where the header has 2"
    assert second == Record(3, {"a": "1", "b": "2"})


def test_a_field_can_be_longer_than_the_csv_modules_own_limit(tmp_path: Path) -> None:
    long = "word " * 40_000
    assert len(long) > 131_072  # what the module starts with
    path = write(tmp_path, "a.csv", f"a,b\n{long},1\n")
    assert next(TableFile(path).records()).fields["a"] == long
    assert csv.field_size_limit() > len(long)


def test_two_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label,text\n1,2,3\n")
    with pytest.raises(UserError, match=r"a\.csv:1: .*named twice: text"):
        TableFile(path).records()


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_text_that_is_not_utf8_is_named_by_its_line(tmp_path: Path, start: bytes) -> None:
    # Far beyond the first block that a text file decodes at once.
    good = b"fine,1\n" * 5000
    path = write(tmp_path, "a.csv", start + b"text,label\n" + good + b"caf\xe9,1\n" + good)
    with pytest.raises(UserError, match=r"a\.csv:5002: found the byte 0xe9.*allowed: UTF-8"):
        list(TableFile(path).records())


def test_json_lines(tmp_path: Path) -> None:
    content = '\ufeff{"text": "a", "label": true}\n\n{"text": "b", "score": 1.5, "tags": [1]}\n'
    for name in ("a.jsonl", "a.ndjson"):
        path = write(tmp_path, name, content)
        assert TableFile(path).columns() == ("text", "label", "score", "tags")
        assert list(TableFile(path).records()) == [
            Record(1, {"text": "a", "label": True}),
            Record(3, {"text": "b", "score": 1.5, "tags": [1]}),
        ]


@pytest.mark.parametrize("line", ['{"text": "b"', "[1, 2]", "5"])
def test_a_bad_json_line_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "a"}\n' + line + "\n")
    with pytest.raises(UserError, match=r"a\.jsonl:2: .*one JSON object a line"):
        list(TableFile(path).records())


def test_json_that_is_not_utf8_is_named_by_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", b'{"a": "b"}\n{"a": "\xff"}\n')
    with pytest.raises(UserError, match=r"a\.jsonl:2: found the byte 0xff"):
        list(TableFile(path).records())


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {"text": ["a", None], "label": [1, 0], "score": [0.5, 2.0], "tags": [[1], []]}
    pq.write_table(pa.table(columns), path)
    assert TableFile(path).columns() == ("text", "label", "score", "tags")
    assert list(TableFile(path).records()) == [
        Record(1, {"text": "a", "label": 1, "score": 0.5, "tags": [1]}),
        Record(2, {"text": None, "label": 0, "score": 2.0, "tags": []}),
    ]


def test_a_broken_parquet_file_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "a.parquet", "not parquet")
    with pytest.raises(UserError, match=r"a\.parquet: found a broken file"):
        TableFile(path).records()


def test_a_missing_file_lists_what_its_folder_holds(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", "a\n1\n")
    write(tmp_path, "other.tsv", "a\n1\n")
    expected = r"trian\.csv: found no such file; .* holds other\.tsv, train\.csv \(nearest: train"
    with pytest.raises(UserError, match=expected):
        TableFile(tmp_path / "trian.csv").records()


def test_a_missing_folder_and_a_folder_as_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the folder .*nowhere does not exist"):
        TableFile(tmp_path / "nowhere" / "a.csv").records()
    with pytest.raises(UserError, match="found a folder; allowed: a file"):
        TableFile(tmp_path).records()


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.csv.gz"])
def test_a_pipe_is_not_waited_for_and_a_link_is_the_users_own(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match="found a pipe; allowed: a file"):
        list(TableFile(tmp_path / name).records())
    with pytest.raises(UserError, match="found a pipe"):
        file_facts(tmp_path / name)
    (tmp_path / "link.csv").symlink_to(write(tmp_path, "real.csv", "a\n1\n"))
    assert len(list(TableFile(tmp_path / "link.csv").records())) == 1


def test_an_unknown_extension_names_the_known_ones(tmp_path: Path) -> None:
    path = write(tmp_path, "a.xlsx", "x")
    with pytest.raises(UserError, match=r"'\.xlsx'; allowed: .*\.csv, \.tsv.*\.parquet"):
        TableFile(path).records()


def test_an_empty_file_has_no_columns_and_no_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "")
    assert TableFile(path).columns() == ()
    assert list(TableFile(path).records()) == []
