"""``mtl-predict --input``: every format in and out, what it keeps, and what it refuses."""

import csv
import datetime
import gzip
import json
import os
import signal
from functools import cache

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import mtl_sharing.predict.table_files as table_files
from mtl_sharing.errors import UserError
from mtl_sharing.predict.json_values import _warn_of_infinite
from mtl_sharing.predict.loading import load_run
from mtl_sharing.predict.predictor import Predictor

RUN = ("encoder.layers=2", "sharing.plan=S1-I1", "task.sst.classes=null",
       "task.sst.labels=[awful,bad,fair,good,great]")  # fmt: skip
TEXTS = [f"{'very ' * (n % 5)}good film, number {n}" for n in range(11)]
PAIRS = [f'a film called "{n}"' for n in range(11)]
ADDED = ["sst", "sst_probability", "quora", "quora_probability", "sts"]


@pytest.fixture
def folder(quick_run):
    return quick_run(*RUN)


LOADED_ONCE = cache(load_run)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    """Every table here spans several chunks, and the command loads a run once."""
    monkeypatch.setattr("mtl_sharing.predict.loading.load_run", LOADED_ONCE)
    monkeypatch.setattr(table_files.InputTable.chunks, "__defaults__", (4,))


def write(path, rows):
    """Rows in the format of the path's extension."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(path):
    readers = {".parquet": pd.read_parquet, ".jsonl": lambda p: pd.read_json(p, lines=True),
               ".tsv": lambda p: pd.read_csv(p, sep="\t"), ".csv": pd.read_csv}  # fmt: skip
    return readers[path.suffix](path)


ROWS = [{"id": f"r{n}", "text": a, "text_pair": b, "number": n}
        for n, (a, b) in enumerate(zip(TEXTS, PAIRS, strict=True))]  # fmt: skip


@pytest.fixture(scope="module")
def expected(quick_run):
    return load_run(quick_run(*RUN), device="cpu").predict(TEXTS, PAIRS)


@pytest.mark.parametrize("source", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("target", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_in_and_out(mtl_predict, folder, expected, tmp_path, source, target):
    path = write(tmp_path / f"in.{source}", ROWS)
    done = mtl_predict(folder, "--input", path, "--out", tmp_path / "out", "--format", target)
    assert done.code == 0, done.err
    found = read(tmp_path / "out" / f"predictions.{target}")
    assert list(found.columns) == ["id", "text", "text_pair", "number", *ADDED]
    assert found["id"].tolist() == [row["id"] for row in ROWS]
    assert found["text_pair"].tolist() == PAIRS
    assert found["number"].astype(int).tolist() == list(range(11))
    assert found["sst"].tolist() == expected["sst"].tolist()
    assert found["quora"].tolist() == expected["quora"].tolist()
    for name in ("sst_probability", "quora_probability", "sts"):
        assert found[name].tolist() == pytest.approx(expected[name].tolist(), abs=1e-5)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"predictions.{target}"]
    assert "rows   11 in" in done.out and f"out/predictions.{target}" in done.out


def test_the_format_is_the_inputs_by_default(mtl_predict, folder, tmp_path):
    path = write(tmp_path / "in.jsonl", ROWS)
    assert mtl_predict(folder, "--input", path, "--out", tmp_path / "o").code == 0
    assert (tmp_path / "o" / "predictions.jsonl").is_file()


def test_values_that_are_no_text_are_kept(mtl_predict, folder, tmp_path):
    rows = [{"text": "good", "more": {"deep": [1, None]}, "flag": True, "big": 2**70},
            {"text": "bad \ud800", "late": 1.5}]  # fmt: skip
    path = write(tmp_path / "in.jsonl", rows)
    assert mtl_predict(folder, "--input", path, "--out", tmp_path).code == 0
    lines = (tmp_path / "predictions.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert [{k: row[k] for k in row if k not in ADDED} for row in found] == rows
    again = mtl_predict(folder, "--input", path, "--out", tmp_path, "--format", "parquet")
    assert again.code == 0, again.err
    table = parquet.read_table(tmp_path / "predictions.parquet")
    assert table["more"].to_pylist() == ['{"deep": [1, null]}', None]
    assert table["flag"].to_pylist() == [True, None] and table["late"].to_pylist() == [None, 1.5]
    assert table["big"].to_pylist() == [str(2**70), None]


def test_infinite_numbers_are_null(mtl_predict, folder, tmp_path):
    _warn_of_infinite.cache_clear()
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "good", "a": 1e400, "b": [-1e400, NaN]}\n' * 2)
    done = mtl_predict(folder, "--input", path, "--out", tmp_path)
    assert done.err.count("infinite numbers, as 1e400 is read, are written as null") == 1
    for line in (tmp_path / "predictions.jsonl").read_text().splitlines():
        row = json.loads(line, parse_constant=pytest.fail)
        assert (row["a"], row["b"]) == (None, [None, None])


def test_a_key_twice_is_told(mtl_predict, folder, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "good"}\n{"text": "good", "text": "bad"}\n')
    done = mtl_predict(folder, "--input", path, "--out", tmp_path)
    assert f"bad rows: 1 (the first: {path}:2: the key 'text' twice)" in done.err


def test_what_is_nested_is_no_text(mtl_predict, folder, tmp_path):
    path = write(tmp_path / "in.jsonl", [{"text": ["good"]}, {"text": 5}, {"text": {"a": "b"}}])
    done = mtl_predict(folder, "--input", path, "--out", tmp_path)
    assert "no predictions of rows without text: 2\n" in done.err
    lines = (tmp_path / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["sst"] is None for line in lines] == [True, False, True]


def test_a_parquet_file_that_is_broken_further_on_is_told(
    mtl_predict, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(table_files.InputTable.chunks, "__defaults__", (500,))
    path, texts = tmp_path / "in.parquet", [f"a good film {n}" for n in range(3000)]
    parquet.write_table(pa.table({"text": texts}), path, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[30_000:32_000] = b"\xff" * 2000
    path.write_bytes(content)
    done = mtl_predict(folder, "--input", path, "--out", tmp_path / "out")
    assert done.code == 2 and f"{path}: found a broken file" in done.err
    assert not list((tmp_path / "out").iterdir())


def test_parquet_keeps_its_types(mtl_predict, folder, tmp_path):
    day = datetime.date(2024, 2, 29)
    schema = pa.schema({"text": pa.large_string(), "day": pa.date32(), "n": pa.int16(),
                        "list": pa.list_(pa.int8())})  # fmt: skip
    rows = [{"text": text, "day": day, "n": 7, "list": [1, 2]} for text in TEXTS]
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "in.parquet")
    path = tmp_path / "in.parquet"
    assert mtl_predict(folder, "--input", path, "--out", tmp_path).code == 0
    found = parquet.read_table(tmp_path / "predictions.parquet")
    assert found.schema.names == ["text", "day", "n", "list", "sst", "sst_probability"]
    assert found.select(schema.names).schema.equals(schema)
    assert found.select(schema.names).to_pylist() == rows


def test_rows_without_text_stay_and_are_counted(mtl_predict, folder, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text('id,text,text_pair\n1,good,bad\n2,,bad\n3,"a, b",\n\n4,a,b,c,d\n5,good,bad\n')
    done = mtl_predict(folder, "--input", path, "--out", tmp_path)
    assert done.code == 0
    found = pd.read_csv(tmp_path / "predictions.csv")
    assert found["id"].tolist() == [1, 2, 3, 4, 5]
    assert found["sst"].isna().tolist() == [False, True, False, True, False]
    assert found["sts"].isna().tolist() == [False, True, True, True, False]
    assert found["sts"][0] == found["sts"][4]
    assert "no predictions of rows without text: 1\n" in done.err
    assert "no predictions of quora, sts of rows without a second text: 1\n" in done.err
    assert f"bad rows: 1 (the first: {path}:6: 5 fields where the header has 3)" in done.err


def test_columns_and_tasks_are_chosen(mtl_predict, folder, tmp_path):
    rows = [{"q": text, "other": "x", "sst": 1} for text in TEXTS]
    path = write(tmp_path / "in.csv", rows)
    words = ("--input", path, "--out", tmp_path, "--text", "q", "--id", "other")
    done = mtl_predict(folder, *words)
    assert done.code == 0
    assert "left out: quora, sts, for want of a column text_pair (--text-pair)\n" in done.err
    found = pd.read_csv(tmp_path / "predictions.csv")
    assert list(found.columns) == ["other", "sst", "sst_probability"]
    whole = mtl_predict(folder, *words[:-2], "--prefix", "p_")
    assert whole.code == 0
    assert list(pd.read_csv(tmp_path / "predictions.csv").columns) == [
        "q", "other", "sst", "p_sst", "p_sst_probability"
    ]  # fmt: skip
    pairs = (*words[:4], "--text", "q", "--text-pair", "other", "--tasks", "sts,quora")
    assert mtl_predict(folder, *pairs).code == 0
    assert list(pd.read_csv(tmp_path / "predictions.csv").columns)[-3:] == [
        "quora", "quora_probability", "sts"
    ]  # fmt: skip


def test_a_delimiter_of_ones_own(mtl_predict, folder, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("\tid\ttext\n0\ta\tgood, very good\n")
    done = mtl_predict(folder, "--input", path, "--out", tmp_path / "o", "--delimiter", "tab")
    assert done.code == 0, done.err
    found = pd.read_csv(tmp_path / "o" / "predictions.csv")
    assert found[["id", "text"]].to_numpy().tolist() == [["a", "good, very good"]]
    assert "ignored columns without a name: 1\n" in done.err


INPUTS = {
    "quotes as text": ("in.tsv", 'text\tid\n"oh dear\t1\nfine\t2\n"well" then\t3\n', 4, []),
    "a swallowed row": ("in.tsv", 'text\tid\n"oh dear\t1\nfine"\t2\nwell\t3\n', 4, []),
    "quotes as text on request": ("in.csv", 'text,id\n"oh" dear,1\n"fine",2\n"well",3\n', 4,
                                  ["--no-quoting"]),
    "quoted line ends": ("in.csv", 'text,id\n"oh\ndear, dear",1\n\n"fine",2\nwell,3\n', 6, []),
    "gzip": ("in.csv.gz", gzip.compress(b"text,id\nfine,1\noh,2\nwell,3\n"), 4, []),
    "JSON lines in gzip": ("in.jsonl.gz", gzip.compress(b'{"text": "a", "id": 1}\n' * 3), 3, []),
    "an array": ("in.json", '[{"text": "a", "id": 1},\n{"text": "b"}, {"text": "c"}]', 0, []),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "lines", "options"), INPUTS.values(), ids=INPUTS)
def test_every_row_of_an_odd_file_is_a_row_of_the_output(
    mtl_predict, folder, tmp_path, name, content, lines, options
):
    path, out = tmp_path / name, tmp_path / "o"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = mtl_predict(folder, "--input", path, "--out", out, "--format", "jsonl", *options)
    assert done.code == 0, done.err
    found = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert len(found) == 3 and all(row["sst"] for row in found)
    assert (
        f"in{''.join(path.suffixes)}: {lines or 3} {'lines' if lines else 'rows'} read: "
        in done.err
    )
    assert "3 rows" in done.err
    assert ("are read as text" in done.err) == (path.suffix == ".tsv")


def test_a_quote_that_is_never_closed_is_refused(mtl_predict, folder, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text('text,id\n"a, b",1\n"c, d",2\n"e,3\nf,4\n')
    done = mtl_predict(folder, "--input", path, "--out", tmp_path / "o")
    assert done.code == 2 and f"{path}:4: found a quote" in done.err and "--no-quoting" in done.err
    again = mtl_predict(folder, "--input", path, "--out", tmp_path / "o", "--no-quoting")
    assert again.code == 0 and "5 lines read: 1 header, 4 rows" in again.err


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_value_that_is_nested_too_deeply_is_told(tmp_path, kind):
    deep = []
    for _ in range(5000):
        deep = [deep]
    path = tmp_path / f"out.{kind}"
    with (
        pytest.raises(UserError, match=r"out\..*nested too deeply"),
        table_files.table_writer(path, kind, ["deep"]) as write,
    ):
        write([{"deep": deep}])
    assert not list(tmp_path.iterdir())


BAD = {
    "no such file": (["--input", "no.csv"], "no.csv: found no such file"),
    "a task": (["--input", "in.csv", "--tasks", "sst2"], "--tasks: found sst2 (nearest: sst)"),
    "text": (["--input", "in.csv", "--text", "txt"],
             "in.csv: found no column 'txt' (--text) in the first line, which is read as the "
             "header; allowed: id, text (nearest: text); a file without a header needs one"),
    "no header": (["--input", "one.csv"], "one.csv: found no column 'text' (--text) in the first "
                  "line, which is read as the header; allowed: good film; a file without a header"),
    "a nested file": (["--input", "nested.json"], "nested.json: found one object, whose field "
                      "'data' is a list; allowed: one JSON object a line, or one array of objects"),
    "pair": (["--input", "in.csv", "--tasks", "sst,quora"],
             "in.csv: found no column 'text_pair' (--text-pair) in the first line"),
    "asked pair": (["--input", "in.csv", "--text-pair", "b"], "no column 'b' (--text-pair)"),
    "id": (["--input", "in.csv", "--id", "key"], "no column 'key' (--id) in the first line"),
    "empty": (["--input", "empty.csv"], "empty.csv: found no row"),
    "header alone": (["--input", "header.csv"], "header.csv: found no row"),
    "not UTF-8": (["--input", "latin.csv"], "latin.csv:7: found the byte 0xe9, which is not UTF-8"),
    "an extension": (["--input", "in.xls"], "with .gz), or its --delimiter"),
    "bad JSON": (["--input", "bad.jsonl"], "bad.jsonl:6: found bad JSON"),
    "no Parquet": (["--input", "bad.parquet"], "bad.parquet: found a broken file"),
    "a clash": (["--input", "clash.csv"], "clash.csv: found columns named as predictions are: sst"),
    "batch size": (["--input", "in.csv", "--batch-size", "0"], "--batch-size: found 0"),
    "delimiter": (["--input", "in.csv", "--delimiter", "ab"], "--delimiter: found 'ab'"),
    "course": (["--input", "in.csv", "--format", "cs224n"], "--format: found cs224n with --input"),
    "data_dir": (["--input", "in.csv", "--data-dir", "x"], "--data-dir: found x with --input"),
    "split": (["--split", "dev", "--text", "x"], "--text: found x with --split"),
    "both": (["--input", "in.csv", "--split", "dev"], "not allowed with argument"),
    "neither": ([], "one of the arguments --input --string --split is required"),
    "many strings": (["--string", "a", "b", "c"], "--string: found 3 texts; allowed: one text, or"),
    "bytes": (["--string", "caf\udce9"], "--string: found bytes that are not UTF-8"),
    "no folder": (["--split", "dev", "--out", ""], "--out: found an empty name"),
    "the input": (["--input", "predictions.csv", "--out", "."], "which is the input"),
    "a file as folder": (["--input", "in.csv", "--out", "in.csv"], "in.csv: found"),
    "below a file": (["--input", "in.csv", "--out", "in.csv/deep"], "in.csv/deep: found"),
    "device": (["--input", "in.csv", "--device", "gpu"], "device: found gpu; allowed: auto"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_told(mtl_predict, folder, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{n},good\n" for n in range(5))
    for name in ("in.csv", "predictions.csv", "in.xls"):
        (tmp_path / name).write_text("id,text\n" + rows)
    (tmp_path / "empty.csv").touch()
    (tmp_path / "one.csv").write_text("good film\nbad film\n")
    (tmp_path / "nested.json").write_text('{"data": [{"text": "a"}]}\n')
    (tmp_path / "header.csv").write_text("id,text\n")
    (tmp_path / "clash.csv").write_text("sst,text\n1,good\n")
    (tmp_path / "latin.csv").write_bytes(b"id,text\n" + rows.encode() + b"9,caf\xe9\n")
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n' * 5 + "{\n")
    (tmp_path / "bad.parquet").write_text("PAR1")
    if "--out" not in words:
        words = [*words, "--out", "out"]
    before = sorted(tmp_path.rglob("*"))
    done = mtl_predict(folder, *words)
    assert done.code == 2, done.out
    assert message in done.err
    assert "Traceback" not in done.err
    left = set(tmp_path.rglob("*")) - set(before)
    assert left <= {tmp_path / "out"}


def test_a_runs_own_predictions_are_kept(mtl_predict, folder, tmp_path):
    path, own = write(tmp_path / "in.parquet", ROWS), folder / "predictions.parquet"
    before = own.read_bytes()
    done = mtl_predict(folder, "--input", path, "--out", folder)
    assert done.code == 2 and f"{own}, which is the run's own file" in done.err
    assert own.read_bytes() == before


def test_a_folder_that_holds_no_run_is_told(mtl_predict, tmp_path):
    path = write(tmp_path / "in.csv", ROWS)
    done = mtl_predict(tmp_path, "--input", path, "--out", tmp_path / "o")
    assert done.code == 2
    words = "found a folder without config.json and model.safetensors"
    assert done.err.startswith(f"mtl-predict: {tmp_path}: {words}")
    assert not (tmp_path / "o").exists()


def failing(raised):
    """A stand-in for ``Predictor.predict`` whose second call fails."""
    plain, calls = Predictor.predict, []

    def predict(*words):
        calls.append(words)
        if len(calls) == 2:
            raised()
        return plain(*words)

    return predict


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_what_fails_on_the_way_leaves_the_old_file(
    mtl_predict, folder, tmp_path, monkeypatch, kind
):
    path = write(tmp_path / "in.csv", ROWS)
    words = ("--input", path, "--out", tmp_path / "o", "--format", kind)
    target = tmp_path / "o" / f"predictions.{kind}"
    assert mtl_predict(folder, *words).code == 0
    old = target.read_bytes()

    def full():
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Predictor, "predict", failing(full))
    done = mtl_predict(folder, *words)
    assert done.code == 2 and "found No space left on device" in done.err
    for number, message in ((signal.SIGTERM, "stopped"), (signal.SIGINT, "stopped")):
        monkeypatch.undo()
        monkeypatch.setattr(table_files.InputTable.chunks, "__defaults__", (4,))
        stop = failing(lambda number=number: os.kill(os.getpid(), number))
        monkeypatch.setattr(Predictor, "predict", stop)
        done = mtl_predict(folder, *words)
        assert done.code == 130 and message in done.err
    assert target.read_bytes() == old
    assert list(target.parent.iterdir()) == [target]
