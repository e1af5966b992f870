"""result.json: missing, damaged and incomplete files, and each status; metrics.csv."""

import json

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import Status
from mtl_sharing.run_folder.results import (
    SCHEMA,
    finished_result,
    metrics_text,
    read_result,
    result_problem,
)
from mtl_sharing.utils.files import read_object

FINISHED = {
    "schema": SCHEMA, "status": "finished", "plan": "I2", "seed": 3, "performance": 0.5,
    "performance_raw_r": 0.25, "tasks": {"sst": {"metric": "accuracy", "value": 0.5}},
    "params": {"total": 7}, "memory": {"model_bytes": 28}, "time": {"train_s": 1.5},
}  # fmt: skip


def write(folder, result):
    (folder / "result.json").write_text(json.dumps(result))


def test_a_folder_without_a_result_has_none(tmp_path):
    assert read_result(tmp_path) is None
    assert finished_result(tmp_path) is None
    with pytest.raises(FileNotFoundError):
        read_object(tmp_path / "config.json")


@pytest.mark.parametrize("status", Status)
def test_only_a_finished_run_has_a_finished_result(tmp_path, status):
    result = FINISHED | {"status": status}
    write(tmp_path, result)
    assert read_result(tmp_path) == result
    assert finished_result(tmp_path) == (result if status == Status.FINISHED else None)


@pytest.mark.parametrize(
    ("text", "found"),
    [("", "a damaged file"), ('{"status": "fin', "a damaged file"), ("[1]", "JSON that is a list"),
     ("3", "JSON that is a number")],
)  # fmt: skip
@pytest.mark.parametrize("read", [read_result, finished_result])
def test_a_damaged_result_is_an_error_that_names_the_file(tmp_path, read, text, found):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(UserError) as error:
        read(tmp_path)
    assert error.value.where == str(tmp_path / "result.json")
    assert str(error.value.found).startswith(found)


def test_a_result_without_a_status_is_not_finished(tmp_path):
    write(tmp_path, {})
    assert read_result(tmp_path) == {}
    assert finished_result(tmp_path) is None


def test_a_complete_result_has_no_problem():
    assert result_problem(FINISHED) is None


@pytest.mark.parametrize("status", [s for s in Status if s not in ("finished", "unreadable")])
def test_an_unfinished_run_needs_no_metrics(status):
    assert result_problem({"schema": SCHEMA, "status": status}) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema": SCHEMA + 1}, f"schema {SCHEMA + 1}, where {SCHEMA} is read"),
        ({"schema": None}, f"schema None, where {SCHEMA} is read"),
        ({"status": "odd"}, "status 'odd'"),
        ({"status": "unreadable"}, "status 'unreadable'"),
        ({"status": None}, "status None"),
        ({"status": []}, "status []"),
        ({"score": float("nan")}, "score is nan"),
        ({"score": 10**40}, f"score is {10**40}"),
        ({"parts": []}, "parts is a list"),
        ({"scored_by": True}, "scored_by is a boolean"),
        *(({"tasks": {"sst": {"metric": "accuracy", "value": 0.5, name: [1]}}},
           "no metric and value of each task")
          for name in ("floor", "by_class", "undefined", "digests")),
        ({"status": "stopped", "tasks": {"sst": {"value": float("inf")}}},
         "tasks.sst.value is inf"),
        ({"tasks": {}}, "no tasks"),
        ({"tasks": [1]}, "no tasks"),
        ({"tasks": {"sst": {"metric": "accuracy", "value": "x"}}},
         "no metric and value of each task"),
        ({"tasks": {"sst": 1}}, "no metric and value of each task"),
        ({"seed": "3", "params": {}, "time": 1.5}, "no seed, params.total, time.train_s"),
    ],
)  # fmt: skip
def test_what_an_unusable_result_lacks_is_named(change, problem):
    assert result_problem(FINISHED | change) == problem


def test_a_row_has_only_the_columns_that_it_has_values_for(tmp_path):
    text = metrics_text([{"step": 1, "a": 0.5}, {"step": 2, "b, c": 0.25}])
    assert text == 'step,a,"b, c"\n1,0.5,\n2,,0.25\n'
    assert metrics_text([]) == "\n"
