"""Several sources for one task: each read its own way, all as examples of the task."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from mtl_sharing.data.examples.examples import (
    Example,
    LoadedExamples,
    SourceCount,
    load_examples,
    shared_texts,
)
from mtl_sharing.data.tasks.sources import ColumnsConfig, FormatConfig, SourceConfig
from mtl_sharing.data.tasks.task import TaskConfig, TaskSpec, task_spec
from mtl_sharing.errors import UserError
from support import COURSE_DATA, ROOT

PAIR = ColumnsConfig(text="one", text_pair="two", label="label", id="id")
# What SICK looks like: no header, and scores from 1 to 5.
HEADLESS = SourceConfig(
    columns=ColumnsConfig(text="1", text_pair="2", label="3", id="0"),
    format=FormatConfig(header=False),
    train=["more.tsv"],
    range=[1.0, 5.0],
)
OWN_ROWS = "id,one,two,label\n1,a,b,0\n2,c,d,5\n"
MORE_ROWS = "1\te\tf\t1\n2\tg\th\t3\n3\ti\tj\t5\n"


def scores(folder: Path, **fields: Any) -> TaskSpec:
    """A regression with rows of its own and a source ``more``, both written to ``folder``."""
    (folder / "own.csv").write_text(OWN_ROWS)
    (folder / "more.tsv").write_text(MORE_ROWS)
    fixed = {"columns": PAIR, "range": [0.0, 5.0], "train": ["own.csv"], "dev": ["own.csv"]}
    sources = {"sources": {"more": HEADLESS}}
    return task_spec("x", TaskConfig(kind="regression", **{**fixed, **sources, **fields}))


def test_sources_join_the_tasks_own_rows_and_ids_tell_them_apart(tmp_path: Path) -> None:
    loaded = load_examples(scores(tmp_path), "train", tmp_path)
    assert loaded.examples == [
        Example("1", "a", "b", 0.0),
        Example("2", "c", "d", 5.0),
        Example("more:1", "e", "f", 0.0),
        Example("more:2", "g", "h", 2.5),
        Example("more:3", "i", "j", 5.0),
    ]
    assert loaded.sources == {"own": SourceCount(2, 0), "more": SourceCount(3, 0)}


def test_dev_stays_the_tasks_own_unless_a_source_gives_some(tmp_path: Path) -> None:
    assert load_examples(scores(tmp_path), "dev", tmp_path).sources == {"own": SourceCount(2, 0)}
    dev_only = SourceConfig(
        HEADLESS.columns, dev=["more.tsv"], format=HEADLESS.format, range=HEADLESS.range
    )
    task = scores(tmp_path, sources={"more": dev_only})
    assert [e.label for e in load_examples(task, "dev", tmp_path).examples] == [0, 5, 0, 2.5, 5]
    assert list(load_examples(task, "train", tmp_path).sources) == ["own"]


def test_a_task_may_have_sources_alone(tmp_path: Path) -> None:
    task = scores(tmp_path, train=[], dev=[])
    assert load_examples(task, "train", tmp_path).sources == {"more": SourceCount(3, 0)}
    with pytest.raises(UserError, match=r"task\.x\.dev: found no files; allowed: a list of file"):
        load_examples(task, "dev", tmp_path)


def test_max_rows_limits_each_source(tmp_path: Path) -> None:
    loaded = load_examples(scores(tmp_path), "train", tmp_path, max_rows=1)
    assert [example.id for example in loaded.examples] == ["1", "more:1"]


def test_bad_rows_are_counted_by_source(tmp_path: Path) -> None:
    task = scores(tmp_path)
    (tmp_path / "own.csv").write_text(OWN_ROWS + "3,,b,1\n")
    (tmp_path / "more.tsv").write_text(MORE_ROWS + "4\tk\t\t1\n5\tl\tm\t\n")
    loaded = load_examples(task, "train", tmp_path)
    assert loaded.sources == {"own": SourceCount(2, 1), "more": SourceCount(3, 2)}
    assert loaded.bad_rows == 3
    files = [row.split(": ")[0].removeprefix(f"{tmp_path}/") for row in loaded.first_bad]
    assert files == ["own.csv:4", "more.tsv:4", "more.tsv:5"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1\te\tf\t0.5\n", r"more\.tsv:1: found the label '0\.5'; allowed: a number from 1 to 5"),
        ("1\te\n", r"more\.tsv: found no column '2' \(task\.x\.sources\.more\.columns\.text_pair"),
        ("", r"more\.tsv: found no column .*the file is empty"),
        ("1\t\tf\t1\n", r"task\.x\.sources\.more is empty: no usable row in more\.tsv; 1 bad rows"),
    ],
)
def test_a_source_that_cannot_be_used_is_named(tmp_path: Path, rows: str, message: str) -> None:
    task = scores(tmp_path)
    (tmp_path / "more.tsv").write_text(rows)
    with pytest.raises(UserError, match=message):
        load_examples(task, "train", tmp_path)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("own", {}, r"task\.x\.sources: found 'own'; .*and not own"),
        ("A b", {}, r"task\.x\.sources: found 'A b'; allowed: lower-case letters"),
        ("more", {"train": []}, r"task\.x\.sources\.more\.train: found no files"),
        ("more", {"train": "a.csv"}, r"sources\.more\.train: found 'a\.csv'; allowed: a list"),
        ("more", {"columns": ColumnsConfig()},
         r"more\.columns\.text_pair: found null; allowed: the name of a column, for the pairs"),
        ("more", {"labels": {"yes": 1}}, r"sources\.more\.labels: .*null for a regression"),
        ("more", {"range": [5.0, 5.0]}, r"sources\.more\.range: found \[5\.0, 5\.0\]"),
        ("more", {"format": FormatConfig(delimiter="ab")}, r"more\.format\.delimiter: found 'ab'"),
    ],
)  # fmt: skip
def test_a_bad_field_of_a_source_is_named(
    tmp_path: Path, name: str, fields: dict[str, Any], message: str
) -> None:
    source = SourceConfig(**{"columns": PAIR, "train": ["more.tsv"], **fields})
    with pytest.raises(UserError, match=message):
        scores(tmp_path, sources={name: source})


def test_a_source_of_pairs_does_not_fit_single_texts(tmp_path: Path) -> None:
    single = ColumnsConfig(text="one", label="label")
    with pytest.raises(UserError, match=r"text_pair: found 2; allowed: null, for the single texts"):
        scores(tmp_path, columns=single)


# Real files


@cache
def shipped(task: str, source: str, split: str) -> LoadedExamples:
    """Examples of a shipped task with a shipped source, both checked as Hydra checks them."""
    files = {kind: ROOT / "conf" / kind for kind in ("task", "source")}
    node = OmegaConf.merge(
        OmegaConf.structured(TaskConfig),
        OmegaConf.load(files["task"] / f"{task}.yaml"),
        {"sources": {source: OmegaConf.load(files["source"] / f"{source}.yaml")}},
    )
    config = OmegaConf.to_object(node)
    assert isinstance(config, TaskConfig)
    return load_examples(task_spec(task, config), split, COURSE_DATA)


@pytest.fixture
def extra_data() -> None:
    """Skips where the course's folder, or mrpc or sick beside it, is absent."""
    for name in ("cs224n", "mrpc", "sick"):
        if not (COURSE_DATA.parent / name).is_dir():
            pytest.skip(f"the files of ../shared/data/{name} are not on this machine")


@pytest.mark.data
@pytest.mark.usefixtures("extra_data")
def test_mrpc_joins_the_courses_question_pairs() -> None:
    loaded = shipped("quora", "mrpc", "train")
    assert loaded.sources == {"own": SourceCount(55_843, 2), "mrpc": SourceCount(4076, 0)}
    added = loaded.examples[55_843:]
    # The corpus as it was published: 2,753 of the 4,076 training pairs are paraphrases.
    assert sum(example.label for example in added) == 2753
    first = added[0]
    assert first.id == "mrpc:msr_paraphrase_train.txt:2"
    assert first.text.startswith('Amrozi accused his brother, whom he called "the witness", of')
    ids = [example.id for example in added]
    assert len(set(ids)) == len(ids)
    assert not {example.id for example in loaded.examples[:55_843]} & set(ids)


@pytest.mark.data
@pytest.mark.usefixtures("extra_data")
def test_sick_joins_the_courses_similarity() -> None:
    loaded = shipped("sts", "sick", "train")
    assert loaded.sources == {"own": SourceCount(5436, 0), "sick": SourceCount(5000, 0)}
    added = loaded.examples[5436:]
    assert len({example.id for example in added}) == 5000
    labels = [example.label for example in added]
    assert (min(labels), max(labels)) == (0.0, 5.0)
    # The first row by hand: relatedness 4.5, so (4.5 - 1) / 4 x 5.
    assert added[0].id == "sick:1"
    assert added[0].text_pair.startswith("A group of boys in a yard is playing")
    assert added[0].label == 4.375


@pytest.mark.data
@pytest.mark.usefixtures("extra_data")
@pytest.mark.parametrize(("task", "source"), [("quora", "mrpc"), ("sts", "sick")])
def test_extra_rows_bring_no_more_of_dev_into_train(task: str, source: str) -> None:
    train, dev = (shipped(task, source, split) for split in ("train", "dev"))
    assert list(dev.sources) == ["own"]
    own = train.examples[: train.sources["own"].examples]
    assert shared_texts(train.examples, dev.examples) == shared_texts(own, dev.examples)
