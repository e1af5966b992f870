from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from mtl_sharing.data.examples.examples import (
    Example,
    LoadedExamples,
    load_examples,
    shared_texts,
)
from mtl_sharing.data.tasks.sources import ColumnsConfig, FormatConfig
from mtl_sharing.data.tasks.task import TaskConfig, TaskSpec, task_spec
from mtl_sharing.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT.parent / "shared" / "data" / "cs224n"
MRPC = ROOT.parent / "shared" / "data" / "mrpc"
needs_shared_data = pytest.mark.skipif(
    not COURSE.is_dir(), reason="the course files of ../shared/data are not on this machine"
)

PAIR = ColumnsConfig(text="one", text_pair="two", label="label", id="id")
SINGLE = ColumnsConfig(text="text", label="label")


def spec(kind: str = "binary", columns: ColumnsConfig = SINGLE, **fields: Any) -> TaskSpec:
    files = {"train": ["a.csv"], "dev": ["a.csv"], "test": ["a.csv"]}
    return task_spec("x", TaskConfig(kind=kind, columns=columns, **(files | fields)))


def load(folder: Path, content: str, task: TaskSpec, split: str = "train", **options: Any) -> Any:
    (folder / "a.csv").write_text(content, encoding="utf-8")
    return load_examples(task, split, folder, **options)


def from_yaml(name: str) -> TaskSpec:
    """The task of a shipped file, by the way that Hydra takes: checked against the config."""
    node = OmegaConf.merge(
        OmegaConf.structured(TaskConfig), OmegaConf.load(ROOT / "conf" / "task" / f"{name}.yaml")
    )
    config = OmegaConf.to_object(node)
    assert isinstance(config, TaskConfig)
    return task_spec(name, config)


# Task specs


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "clases"}, r"task\.x\.kind: found clases \(nearest: classes\)"),
        ({"kind": "classes"}, r"task\.x\.classes: found null"),
        ({"kind": "classes", "classes": 1}, r"task\.x\.classes: found 1; allowed: 2 or more"),
        ({"kind": "binary", "classes": 3}, r"task\.x\.classes: found 3; allowed: 2"),
        ({"kind": "binary", "labels": ["a", "b", "c"]}, r"task\.x\.labels: found 3 names"),
        ({"kind": "classes", "labels": ["a", "a"]}, r"task\.x\.labels: found 'a' twice"),
        ({"kind": "regression"}, r"task\.x\.range: found None; allowed: two numbers"),
        ({"kind": "regression", "range": [5, 0]}, r"task\.x\.range: found \[5, 0\]"),
        ({"kind": "regression", "range": [0, float("inf")]}, r"task\.x\.range: .*finite"),
        ({"kind": "regression", "range": [0, 5], "classes": 2}, r"task\.x\.classes: found 2"),
        ({"kind": "regression", "range": [0, 5], "labels": ["a", "b"]}, r"task\.x\.labels"),
        ({"kind": "binary", "range": [0, 1]}, r"task\.x\.range: found \[0, 1\]; allowed: null"),
        ({"kind": "binary", "metric": "pearson"}, r"task\.x\.metric: found pearson; .*accuracy"),
        ({"kind": "binary", "batch_size": 0}, r"task\.x\.batch_size: found 0"),
        ({"kind": "binary", "train": "a.csv"}, r"task\.x\.train: found 'a\.csv'; .*a list"),
        (
            {"kind": "binary", "format": FormatConfig(delimiter="ab")},
            r"task\.x\.format\.delimiter: found 'ab'",
        ),
        (
            {"kind": "binary", "columns": ColumnsConfig(text="")},
            r"task\.x\.columns\.text: found ''",
        ),
        (
            {"kind": "binary", "columns": ColumnsConfig(text="a", text_pair="a")},
            r"task\.x\.columns\.text_pair: found a; allowed: another column than text's",
        ),
    ],
)
def test_a_bad_field_of_a_task_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        task_spec("x", TaskConfig(**fields))


def test_defaults_by_kind() -> None:
    binary = spec("binary")
    assert (binary.classes, binary.metric, binary.is_pair) == (2, "accuracy", False)
    named = spec("classes", labels=["bad", "so so", "good"])
    assert (named.classes, named.labels) == (3, ("bad", "so so", "good"))
    score = spec("regression", columns=PAIR, range=[1, 5])
    assert (score.classes, score.low, score.high) == (None, 1.0, 5.0)
    assert (score.metric, score.is_pair) == ("pearson", True)


@pytest.mark.parametrize("name", ["tab", "\\t", "\t"])
def test_a_tab_can_be_named_in_three_ways(name: str) -> None:
    assert spec(format=FormatConfig(delimiter=name)).format.delimiter == "\t"


def test_every_shipped_task_is_a_valid_task() -> None:
    names = sorted(path.stem for path in (ROOT / "conf" / "task").glob("*.yaml"))
    bundled = ["bundled_quora", "bundled_sst", "bundled_sts"]
    assert names == [*bundled, "cfimdb", "hub_quora", "hub_sst", "hub_sts", "quora", "sst", "sts"]
    pairs = {name: from_yaml(name).is_pair for name in names}
    assert [name for name, is_pair in pairs.items() if is_pair] == [
        "bundled_quora",
        "bundled_sts",
        "hub_quora",
        "hub_sts",
        "quora",
        "sts",
    ]


def test_every_shipped_suite_names_shipped_tasks() -> None:
    tasks = {}
    for path in sorted((ROOT / "conf" / "suite").glob("*.yaml")):
        suite = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(suite, dict)
        assert suite["suite"]["name"] == path.stem
        # A plain name stands for another suite, whose tasks are taken over, or for this file.
        entries = [entry for entry in suite["defaults"] if entry != "_self_"]
        entries = [entry for entry in entries if "override /encoder" not in entry]
        tasks[path.stem] = {}
        for entry in entries:
            tasks[path.stem] |= tasks[entry] if isinstance(entry, str) else entry
    named = {f"/task@task.{name}": name for name in ("sst", "quora", "sts")}
    assert tasks == {
        "bundled": {key: f"bundled_{name}" for key, name in named.items()},
        "cs224n": named,
        "cs224n_cfimdb": named | {"/task@task.cfimdb": "cfimdb"},
        "cs224n_extra": named
        | {"/source@task.quora.sources.mrpc": "mrpc", "/source@task.sts.sources.sick": "sick"},
        "hub": {key: f"hub_{name}" for key, name in named.items()},
        "own": {},
        "planted": {key: f"bundled_{name}" for key, name in named.items()},
    }


# Loading


def test_texts_are_stripped_and_ids_are_kept(tmp_path: Path) -> None:
    content = "id,one,two,label\nq1,  a b ,c\u00a0,1.0\n,d,e,0\n"
    loaded = load(tmp_path, content, spec(columns=PAIR))
    assert loaded.examples == [Example("q1", "a b", "c", 1), Example("a.csv:3", "d", "e", 0)]
    assert [type(example.label) for example in loaded.examples] == [int, int]
    assert (loaded.bad_rows, loaded.first_bad) == (0, [])


def test_labels_of_each_kind(tmp_path: Path) -> None:
    content = "text,label\na,0\nb,4.0\n"
    whole = load(tmp_path, content, spec("classes", classes=5))
    assert [example.label for example in whole.examples] == [0, 4]
    scores = load(tmp_path, content, spec("regression", range=[0, 4]))
    assert [example.label for example in scores.examples] == [0.0, 4.0]
    assert isinstance(scores.examples[0].label, float)
    named = load(tmp_path, "text,label\na,good\nb, bad \n", spec(labels=["bad", "good"]))
    assert [example.label for example in named.examples] == [1, 0]


@pytest.mark.parametrize(
    ("task", "label", "allowed"),
    [
        (spec("binary"), "2", "a whole number 0 to 1"),
        (spec("binary"), "0.5", "a whole number 0 to 1"),
        (spec("binary"), "yes", "a whole number 0 to 1"),
        (spec("binary"), "-1", "a whole number 0 to 1"),
        (spec("classes", classes=5), "5", "a whole number 0 to 4"),
        (spec("classes", classes=50), "1_0", "a whole number 0 to 49"),
        (spec("regression", range=[0, 5]), "5.01", "a number from 0 to 5"),
        (spec("regression", range=[0, 5]), "inf", "a number from 0 to 5"),
        (spec("regression", range=[0, 5]), "high", "a number from 0 to 5"),
        (spec("binary", labels=["no", "yes"]), "yess", r"no, yes \(nearest: yes\)"),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_wrong_label_is_always_an_error(
    tmp_path: Path, task: TaskSpec, label: str, allowed: str, split: str
) -> None:
    content = f"text,label\ngood,{task.labels[0] if task.labels else 1}\nbad,{label}\n"
    message = rf"a\.csv:3: found the label '{label}'; allowed: {allowed}"
    with pytest.raises(UserError, match=message):
        load(tmp_path, content, task, split)


def test_bad_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = ["1,a,,1", "2,,b,1", "3,a,b,", "4,a,b,nan", "5,a", "6,a,b,1,c", "7,a,b,1"]
    loaded = load(tmp_path, "\n".join(["id,one,two,label", *rows]), spec(columns=PAIR))
    assert [example.id for example in loaded.examples] == ["7"]
    assert loaded.bad_rows == 6
    path = tmp_path / "a.csv"
    assert loaded.first_bad == [
        f"{path}:2: nothing in column 'two'",
        f"{path}:3: nothing in column 'one'",
        f"{path}:4: nothing in column 'label'",
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [("a,", "nothing in column 'label'"), ("a,1,b", "3 fields where the header has 2")],
)
def test_a_bad_row_can_be_an_error(tmp_path: Path, row: str, reason: str) -> None:
    with pytest.raises(UserError, match=rf"a\.csv:3: found {reason}"):
        load(tmp_path, f"text,label\nb,1\n{row}\n", spec(), on_bad_row="error")


def test_a_test_split_needs_no_labels(tmp_path: Path) -> None:
    assert load(tmp_path, "text\na\n", spec(), "test").examples[0].label is None
    mixed = load(tmp_path, "text,label\na,\nb,1\n", spec(), "test")
    assert [example.label for example in mixed.examples] == [None, 1]
    with pytest.raises(UserError, match=r"a\.csv: found no column 'label'"):
        load(tmp_path, "text\na\n", spec(), "dev")


def test_a_missing_column_is_named_with_those_there(tmp_path: Path) -> None:
    message = (
        r"a\.csv: found no column 'text' \(task\.x\.columns\.text\); "
        r"allowed: texts, label \(nearest: texts\)"
    )
    with pytest.raises(UserError, match=message):
        load(tmp_path, "texts,label,\na,1,2\n", spec())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\n", r"task\.x is empty: no usable row in a\.csv"),
        ("text,label\na,\n", r"task\.x is empty: .*1 bad rows, the first is .*a\.csv:2: nothing"),
        ("", r"no column 'text'.*allowed: the file is empty"),
    ],
)
def test_a_task_without_a_usable_row_is_an_error(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load(tmp_path, content, spec())


def test_max_rows_counts_usable_rows_over_all_files(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("text,label\nc,1\nd,1\ne,broken\n")
    task = spec(train=["a.csv", "b.csv"])
    loaded = load(tmp_path, "text,label\n,1\na,1\nb,1\n", task, max_rows=4)
    assert [example.text for example in loaded.examples] == ["a", "b", "c", "d"]
    assert loaded.bad_rows == 1
    with pytest.raises(UserError, match="max_train_rows: found 0"):
        load(tmp_path, "text,label\na,1\n", spec(), max_rows=0)


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data_dir: found null; allowed: the folder that holds a"):
        load_examples(spec(), "train", None)
    with pytest.raises(UserError, match=r"data_dir: found .*nowhere"):
        load_examples(spec(), "train", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"task\.x\.dev: found no files"):
        load_examples(spec(dev=[]), "dev", tmp_path)
    with pytest.raises(
        UserError, match=r"on_bad_row: found stop \(nearest: skip\); allowed: skip, error"
    ):
        load_examples(spec(), "train", tmp_path, on_bad_row="stop")


def test_an_absolute_file_needs_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,1\n")
    assert len(load_examples(spec(train=[str(path)]), "train", None).examples) == 1


def test_shared_texts() -> None:
    train = [Example("1", "A  cat", "a dog", 1), Example("2", "a bird", "a fish", 0)]
    dev = [
        Example("3", "a dog", "a CAT", 1),  # the whole pair, swapped
        Example("4", "a dog", "a fish", 0),  # both texts, but of two train pairs
        Example("5", "a bird", "new", 0),  # one text
        Example("6", "new", "newer", 0),
    ]
    assert shared_texts(train, dev) == (1, 3)
    alone = [replace(example, text_pair=None) for example in dev]
    assert shared_texts([Example("1", "a  dog", None, 1)], alone) == (2, 2)


# Real files


@cache
def course(name: str, split: str) -> LoadedExamples:
    return load_examples(from_yaml(name), split, COURSE)


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "split", "usable", "bad", "labels"),
    [
        ("sst", "train", 7690, 0, {0, 1, 2, 3, 4}),
        ("sst", "dev", 1101, 0, {0, 1, 2, 3, 4}),
        ("sst", "test", 2210, 0, {None}),
        ("quora", "train", 55_843, 2, {0, 1}),
        ("quora", "dev", 20_212, 2, {0, 1}),
        ("cfimdb", "train", 1707, 0, {0, 1}),
        ("cfimdb", "dev", 245, 0, {0, 1}),
        ("cfimdb", "test", 488, 0, {None}),
    ],
)
def test_course_files(name: str, split: str, usable: int, bad: int, labels: set[Any]) -> None:
    loaded = course(name, split)
    assert (len(loaded.examples), loaded.bad_rows, len(loaded.first_bad)) == (usable, bad, bad)
    assert {example.label for example in loaded.examples} == labels


@needs_shared_data
@pytest.mark.parametrize(("split", "rows"), [("train", 5436), ("dev", 863), ("test", 1725)])
def test_course_similarity_files(split: str, rows: int) -> None:
    loaded = course("sts", split)
    assert (len(loaded.examples), loaded.bad_rows) == (rows, 0)
    scores = [example.label for example in loaded.examples]
    if split == "test":
        assert set(scores) == {None}
    else:
        assert (min(scores), max(scores)) == (0.0, 5.0)


@needs_shared_data
def test_unnamed_columns_do_not_shift_the_course_test_file() -> None:
    first = load_examples(from_yaml("sst"), "test", COURSE, max_rows=1).examples[0]
    assert first == Example(
        "b7573736a6ddf7be102b7fee0", "Effective but too-tepid biopic", None, None
    )


@needs_shared_data
def test_bad_rows_of_the_course_are_named_by_their_line() -> None:
    loaded = course("quora", "dev")
    lines = [place.removeprefix(str(COURSE)).split(": ")[0] for place in loaded.first_bad]
    assert lines == ["/quora-dev.csv:2577", "/quora-dev.csv:14222"]
    with pytest.raises(UserError, match=r"quora-dev\.csv:2577: found nothing in column"):
        load_examples(from_yaml("quora"), "dev", COURSE, on_bad_row="error")


@needs_shared_data
def test_a_file_whose_quotes_are_text_with_a_bom_and_crlf() -> None:
    columns = ColumnsConfig(text="#1 String", text_pair="#2 String", label="Quality")
    task = spec(
        columns=columns,
        train=["msr_paraphrase_train.txt"],
        format=FormatConfig(quoting=False),
    )
    loaded = load_examples(task, "train", MRPC)
    assert (len(loaded.examples), loaded.bad_rows) == (4076, 0)
    assert not any("\r" in (example.text_pair or "") for example in loaded.examples)
