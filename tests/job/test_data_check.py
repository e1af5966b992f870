"""A check of the data counts what a training reads, and finds all that it would stop at."""

from dataclasses import replace

import pytest

from mtl_sharing.data.examples.splits import read_split
from mtl_sharing.data.tasks.sources import ColumnsConfig, SourceConfig
from mtl_sharing.data.tasks.task import TaskConfig
from mtl_sharing.errors import UserError
from mtl_sharing.job.data_check import check_data
from mtl_sharing.job.data_mistakes import as_one
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.run_folder.results import finished_result
from support import QUICK, load_config

NAMES = ColumnsConfig(text="text", label="label")


def rows(folder, name, *lines):
    """A table of a text and a label."""
    (folder / name).write_text("".join(f"{line}\n" for line in ("text,label", *lines)))


def classes(name, **fields):
    files = {"train": [f"{name}-train.csv"], "dev": [f"{name}-dev.csv"], "labels": ["no", "yes"]}
    return TaskConfig(**{"columns": NAMES} | files | fields)


def spec_of(folder, tasks, *overrides):
    """The spec of a run of these tasks, whose files lie in ``folder``."""
    every = ("suite.max_train_rows=null", "suite.max_dev_rows=null", "suite.max_length=8")
    config = load_config(*QUICK, *every, "encoder.layers=1", "sharing=shared", *overrides)
    return resolve_spec(replace(config, task=tasks, data_dir=str(folder)))


def scores(name):
    return TaskConfig("regression", NAMES, [f"{name}-train.csv"], [f"{name}-dev.csv"], range=[0, 5])


@pytest.fixture
def faulty(tmp_path):
    """One task with sound files, and others with a fault of each kind."""
    good = [f"good {n},{('no', 'yes')[n % 2]}" for n in range(6)]
    for name in ("sound", "column", "label", "text"):
        rows(tmp_path, f"{name}-train.csv", *good)
        rows(tmp_path, f"{name}-dev.csv", *good)
    rows(tmp_path, "label-train.csv", *good, "a,perhaps", "b,Yes", "c,perhaps")
    rows(tmp_path, "label-dev.csv", *good, "d,never")
    rows(tmp_path, "range-train.csv", "a,1.5", "b,5.5")
    rows(tmp_path, "range-dev.csv")
    (tmp_path / "text-dev.csv").write_text("")
    return {
        "sound": classes("sound"), "label": classes("label"), "range": scores("range"),
        "column": classes("column", columns=ColumnsConfig(text="body", label="label")),
        "text": classes("text", train=["missing.csv"]),
    }  # fmt: skip


def test_every_mistake_is_named_as_a_training_names_it(tmp_path, faulty):
    run_spec = spec_of(tmp_path, faulty)
    check = check_data(run_spec)
    assert list(check.record["tasks"]) == ["sound"]
    assert check.record["left_out"] == ["label", "range", "column", "text"]
    assert check.record["mistakes"] == [str(mistake) for mistake in check.mistakes]
    stops = []
    for name in check.record["left_out"]:
        for split in ("train", "dev"):
            with pytest.raises(UserError) as error:
                read_split(run_spec.specs[name], split, run_spec.config.suite, str(tmp_path))
            stops.append(error.value)
    assert [m.where for m in check.mistakes] == [stop.where for stop in stops]
    assert [m.allowed for m in check.mistakes] == [stop.allowed for stop in stops]
    names = ("label-train.csv:8", "label-dev.csv:8", "range-train.csv:3", "task.range.dev",
             "column-train.csv", "column-dev.csv", "missing.csv", "text-dev.csv")  # fmt: skip
    assert all(m.where.endswith(name) for m, name in zip(check.mistakes, names, strict=True))
    several, *others = check.mistakes
    assert several.found == (
        "the label 'perhaps', the first of 3 rows with an unknown label: 'perhaps' (2), 'Yes' (1)"
    )
    assert [m.found for m in others] == [stop.found for stop in stops[1:]]
    lines = str(as_one(check.mistakes)).splitlines()
    assert lines == ["the data: found 8 mistakes; allowed: none",
                     *(f"  {mistake}" for mistake in check.mistakes)]  # fmt: skip


def test_a_mistake_of_several_tasks_is_told_once(tmp_path, faulty):
    (mistake,) = check_data(spec_of(tmp_path / "nowhere", faulty)).mistakes
    assert mistake.where == "data_dir"
    assert as_one([mistake]) is mistake


def test_each_source_is_read_for_its_own_mistakes(tmp_path):
    rows(tmp_path, "own-train.csv", "a,maybe")
    rows(tmp_path, "more.csv", "a,yes", "b,1")
    rows(tmp_path, "own-dev.csv", "c,yes")
    source = SourceConfig(columns=NAMES, train=["more.csv"])
    task = classes("own", sources={"more": source})
    first, second = check_data(spec_of(tmp_path, {"own": task})).mistakes
    assert (first.where, second.where) == (f"{tmp_path}/own-train.csv:2", f"{tmp_path}/more.csv:3")


def test_a_limit_ends_the_search_for_mistakes_too(tmp_path):
    rows(tmp_path, "a-train.csv", "a,yes", "b,no", "c,perhaps", "d,perhaps")
    rows(tmp_path, "a-dev.csv", "a,yes", "b,no", "c,no")
    limits = ("suite.max_train_rows=2", "suite.max_dev_rows=2")
    check = check_data(spec_of(tmp_path, {"a": classes("a")}, *limits))
    assert not check.mistakes
    assert check.record["tasks"]["a"]["splits"]["train"]["limit"] == 2


@pytest.fixture
def odd(tmp_path):
    """Two tasks with sound files in which something is odd."""
    rows(tmp_path, "one-train.csv", "a b,no", "A  b,no", "a B,yes", "c d,yes", ",yes", "e,",
         "d a,no", f"{'a ' * 20},yes", "b c,no", "c b,no")  # fmt: skip
    rows(tmp_path, "one-dev.csv", "a  b,no", "new b,no", "b c,no")
    rows(tmp_path, "one-test.csv", "c d,", "b b,", "b b,")
    rows(tmp_path, "two-train.csv", "new b,0.5", "b a,2", "d,4.5")
    rows(tmp_path, "two-dev.csv", "c d,1", "d,2")
    return {"one": classes("one", test=["one-test.csv"]), "two": scores("two")}


def test_the_counts_of_a_small_table(tmp_path, odd):
    tasks = check_data(spec_of(tmp_path, odd)).record["tasks"]
    one, two = (tasks[name]["splits"] for name in ("one", "two"))
    assert one["train"] | {"tokens": None} == {
        "rows": 10, "examples": 8, "limit": None, "texts": 8, "cut_texts": 1, "tokens": None,
        "skipped": {"nothing in column 'text'": 1, "nothing in column 'label'": 1},
        "labels": {"unlabelled": 0, "classes": {"no": 5, "yes": 3}},
        "repeated": 2, "repeated_with_another_label": 1,
    }  # fmt: skip
    # [CLS] and [SEP] belong to a text; the others have two letters.
    assert one["train"]["tokens"] == {"median": 4, "p95": 8, "longest": 8}
    assert one["dev"]["labels"]["classes"] == {"no": 3, "yes": 0}
    assert (one["dev"]["in_train"], one["dev"]["with_a_text_in_train"]) == (2, 2)
    assert one["dev"]["with_a_text_in_train_of"] == {"two": 1}
    assert one["dev"]["floor"] == 1.0
    assert one["test"]["labels"] == {"unlabelled": 3, "classes": {"no": 0, "yes": 0}}
    assert (one["test"]["repeated"], one["test"]["repeated_with_another_label"]) == (1, 0)
    assert one["test"]["in_train"] == 1
    assert two["train"]["labels"]["scores"] == {
        "lowest": 0.5, "mean": pytest.approx(7 / 3), "highest": 4.5,
    }  # fmt: skip
    assert (two["dev"]["in_train"], two["dev"]["with_a_text_in_train_of"]) == (1, {"one": 1})
    assert two["dev"]["floor"] == 0.0
    assert tasks["one"]["warnings"] == ["one: dev has one class alone, no (3 examples), and no yes"]


@pytest.mark.parametrize("overrides", [(), ("suite.select_fraction=0.25", "suite.clean=[lower]")])
def test_the_counts_are_those_of_a_training(tmp_path, odd, overrides):
    run_spec = spec_of(tmp_path, odd, *overrides)
    tasks = check_data(run_spec).record["tasks"]
    facts = load_inputs(run_spec, tmp_path).facts
    for name, task in tasks.items():
        read = [facts for split, facts in task["splits"].items() if split != "test"]
        dev = task["splits"]["dev"]
        counted = {
            "train_examples": task["splits"]["train"]["examples"],
            "select_examples": task["splits"].get("select", {"examples": 0})["examples"],
            "bad_rows": sum(sum(split["skipped"].values()) for split in read),
            "truncated_texts": sum(split["cut_texts"] for split in read),
            "dev_examples_in_train": dev["in_train"],
            "dev_examples_with_a_text_in_train": dev["with_a_text_in_train"],
        }
        assert {key: facts[name][key] for key in counted} == counted
    assert ("select" in tasks["one"]["splits"]) == bool(overrides)


def test_a_test_split_that_cannot_be_read_stops_nothing(tmp_path, odd):
    (tmp_path / "one-test.csv").unlink()
    check = check_data(spec_of(tmp_path, odd))
    assert not check.mistakes
    assert "test" not in check.record["tasks"]["one"]["splits"]
    (warning,) = check.record["tasks"]["one"]["warnings"][1:]
    assert "one: the test split, which no training reads, is left out: " in warning
    assert "one-test.csv: found no such file" in warning


def test_what_holding_out_needs_is_a_mistake_too(tmp_path, odd):
    check = check_data(spec_of(tmp_path, odd, "suite.select_fraction=0.9"))
    (mistake,) = check.mistakes
    assert mistake.where == "suite.select_fraction"
    assert check.record["tasks"] == {}
    assert check.record["left_out"] == ["one", "two"]


def test_the_bundled_suite_as_a_run_has_it(quick_run):
    result = finished_result(quick_run())
    record = check_data(resolve_spec(load_config(*QUICK))).record
    assert record["mistakes"] == record["left_out"] == []
    for name, task in result["tasks"].items():
        splits = record["tasks"][name]["splits"]
        assert splits["train"]["examples"] == task["train_examples"] == 40
        assert splits["dev"]["examples"] == task["examples"] == 30
        assert splits["dev"]["floor"] == task["floor"]
        assert splits["dev"]["in_train"] == task["dev_examples_in_train"]
        cut = splits["train"]["cut_texts"] + splits["dev"]["cut_texts"]
        assert cut == task["truncated_texts"]
