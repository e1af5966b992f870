"""Any bytes in a table's file give rows that add up with its lines, or a message."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mtl_sharing.data.examples.examples import load_examples
from mtl_sharing.data.tables.files import LineCounts
from mtl_sharing.data.tables.tables import Record, TableFile
from mtl_sharing.data.tasks.task import TaskConfig, task_spec
from mtl_sharing.errors import UserError

FAST = settings(max_examples=50, deadline=None, derandomize=True)
# Pieces that meet in files that go wrong, and any other bytes.
PIECES = st.sampled_from([
    b'"', b'""', b"\t", b",", b"\n", b"\r\n", b"\r", b"\0", b"\xef\xbb\xbf", b"\xff",
    b"\xed\xa0\xbd", b"a", b"text", b"label", b"{", b"}", b"[", b"]", b":",
    b'{"text": "a", "label": 1}', b"\\ud83d",
    b"nan", b"NaN", b"\\", b"\x1f\x8b", "\u00e9\u2028\u3000".encode(), b"1e999", b'"a\tb\n', b" ",
])  # fmt: skip
CONTENT = st.lists(PIECES | st.binary(max_size=8), max_size=30).map(b"".join)


def read(name: str, content: bytes) -> tuple[list[Record], LineCounts] | None:
    """The records and the counts of a file, or None if it was refused with a message."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        counts = LineCounts()
        try:
            records = list(TableFile(path).records(counts))
        except UserError as refusal:
            message = refusal
        else:
            columns = set(TableFile(path).columns())
            assert all(columns.issuperset(record.fields) for record in records)
            return records, counts
    assert message.where.startswith(str(path)) and "\n" not in message.where
    assert str(message).encode("utf-8")  # it can be printed
    return None


def check_sum(name: str, content: bytes) -> None:
    """Checks that every line of the content is accounted for."""
    result = read(name, content)
    if result is None:
        return
    records, counts = result
    parts = counts.header + counts.blank + counts.quoted
    assert counts.lines + counts.objects == parts + len(records)
    if not counts.objects and not content.startswith(b"\x1f\x8b"):
        lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="").readlines()
        assert counts.lines == len(lines)
    assert [record.line for record in records] == sorted(record.line for record in records)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.csv.gz"])
def test_any_bytes(name: str) -> None:
    @FAST
    @example(b'a,b\n1,2\n"')
    @example(b'a\tb\n"x\t1\ny\t2\nz"\t3\n')
    @example(b"")
    @given(CONTENT)
    def check(content: bytes) -> None:
        check_sum(name, content)

    check()


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz"])
def test_any_bytes_in_gzip(name: str) -> None:
    @FAST
    @given(CONTENT, st.integers(-3, 0))
    def check(content: bytes, cut: int) -> None:
        packed = gzip.compress(content, mtime=0)
        check_sum(name, packed[: len(packed) + cut])

    check()


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
@pytest.mark.parametrize("labels", [None, ["nan", "1"]])
def test_any_rows_as_examples(name: str, labels: list[str] | None) -> None:
    """Each row becomes an example or is skipped with a reason, or its label is refused."""
    task = task_spec("x", TaskConfig(kind="binary", labels=labels, train=[name]))
    start = {"a.csv": b"text,label\n", "a.tsv": b"text\tlabel\n"}.get(name, b"")

    @FAST
    @given(CONTENT)
    def check(content: bytes) -> None:
        with TemporaryDirectory() as folder:
            (Path(folder) / name).write_bytes(start + content)
            try:
                loaded = load_examples(task, "train", Path(folder))
            except UserError:
                return
        counts = loaded.lines
        assert counts is not None
        rows = len(loaded.examples) + loaded.bad_rows
        assert loaded.bad_rows == loaded.reasons.total()
        read = counts.lines + counts.objects
        assert read == rows + counts.header + counts.blank + counts.quoted
        assert all(e.text.strip() == e.text and e.text.encode() for e in loaded.examples)

    check()


def parquet_bytes() -> bytes:
    """A small Parquet file with several types."""
    table = pa.table({"text": ["a", None], "label": [True, False], "list": [[1], []]})
    file = io.BytesIO()
    pq.write_table(table, file, compression="none")
    return file.getvalue()


@FAST
@given(st.integers(0, 2000), st.binary(min_size=1, max_size=4), st.integers(0, 2000))
def test_damaged_parquet(place: int, damage: bytes, length: int) -> None:
    whole = parquet_bytes()
    place %= len(whole)
    damaged = whole[:place] + damage + whole[place + len(damage) :]
    read("a.parquet", damaged)
    read("a.parquet", whole[: length % len(whole)])
    assert read("a.parquet", whole) is not None


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@FAST
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8), st.booleans())
def test_what_the_csv_module_writes_comes_back(rows: list[tuple[str, str]], tab: bool) -> None:
    """Quoted fields with delimiters, quotes and line ends inside, below a header in quotes."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter="\t" if tab else ",", quoting=csv.QUOTE_ALL)
    writer.writerows([("one", "two"), *rows])
    result = read("a.tsv" if tab else "a.csv", file.getvalue().encode())
    assert result is not None
    assert [tuple(record.fields.values()) for record in result[0]] == rows


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
ROWS = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=6)
LAYOUTS: dict[str, Callable[[list[Any]], str]] = {
    "lines": lambda rows: "".join(json.dumps(row) + "\n" for row in rows),
    "array": json.dumps,
    "indented": lambda rows: json.dumps(rows, indent=2),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_the_json_module_writes_comes_back(layout: str) -> None:
    @FAST
    @given(ROWS)
    def check(rows: list[dict[str, Any]]) -> None:
        result = read("a.json", LAYOUTS[layout](rows).encode())
        assert result is not None
        assert [repr(record.fields) for record in result[0]] == [repr(row) for row in rows]

    check()
