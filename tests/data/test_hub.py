"""Data sets in the format of the library ``datasets``, saved to disk here."""

import sys
from pathlib import Path
from typing import Any

import pytest

from mtl_sharing.data.examples.examples import Example, SourceCount, load_examples
from mtl_sharing.data.tables.hub_names import HubName, parse_hub_name
from mtl_sharing.data.tasks.sources import ColumnsConfig, SourceConfig
from mtl_sharing.data.tasks.task import TaskConfig, TaskSpec, task_spec
from mtl_sharing.errors import UserError

PAIR = ColumnsConfig(text="sentence1", text_pair="sentence2", label="score")


@pytest.fixture
def datasets() -> Any:
    """The library; skips where the extra ``hub`` is not installed."""
    library = pytest.importorskip("datasets", reason="the extra hub is not installed")
    library.disable_progress_bars()
    return library


def task(*names: str, kind: str = "binary", **fields: Any) -> TaskSpec:
    return task_spec("x", TaskConfig(kind=kind, train=list(names), dev=list(names), **fields))


def save(datasets: Any, folder: Path, rows: dict[str, list[Any]], *splits: str) -> None:
    rows_of = datasets.Dataset.from_dict
    datasets.DatasetDict({split: rows_of(rows) for split in splits}).save_to_disk(folder)


ROWS = {"text": ["a b", " c ", None], "label": [1, 0, 1], "vectors": [[1.0], [], [2.0]]}


# Names


@pytest.mark.parametrize(
    ("name", "source", "split"),
    [
        ("hub://SetFit/sst5:train", "SetFit/sst5", "train"),
        ("hub://nyu-mll/glue/qqp:validation", "nyu-mll/glue/qqp", "validation"),
        ("hub://./mine:dev", "./mine", "dev"),
        ("hub:///data/c:d/mine:train", "/data/c:d/mine", "train"),
    ],
)
def test_a_name_has_a_source_and_a_split(name: str, source: str, split: str) -> None:
    result = parse_hub_name("x", name)
    assert result == HubName(source, split)
    assert str(result) == name


@pytest.mark.parametrize(
    "name",
    ["hub://", "hub://a/b", "hub://a/b:", "hub://sst5:train", "hub://a//b:train",
     "hub://a/b/c/d:train", "hub://a/b:train[:5]"],
)  # fmt: skip
def test_a_name_of_another_form_is_refused_before_anything_is_read(name: str) -> None:
    with pytest.raises(UserError, match=r"task\.x\.train: found hub.*allowed: hub://owner/name:sp"):
        task(name)


# Saved sets


@pytest.mark.parametrize("form", ["hub://./saved:train", "hub://SetFit/sst5:train"])
def test_a_saved_set_is_found_below_data_dir(datasets: Any, tmp_path: Path, form: str) -> None:
    source = parse_hub_name("x", form).source
    save(datasets, tmp_path / source, ROWS, "train", "test")
    loaded = load_examples(task(form), "train", tmp_path)
    name = Path(source).name
    assert loaded.examples == [
        Example(f"{name}:train:1", "a b", None, 1),
        Example(f"{name}:train:2", "c", None, 0),
    ]
    assert loaded.first_bad == [f"{form}:3: nothing in column 'text'"]


def test_an_absolute_folder_needs_no_data_dir(datasets: Any, tmp_path: Path) -> None:
    save(datasets, tmp_path / "saved", ROWS, "train")
    loaded = load_examples(task(f"hub://{tmp_path}/saved:train"), "train", None)
    assert len(loaded.examples) == 2


def test_one_split_saved_by_itself(datasets: Any, tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict(ROWS, split="train")
    rows.save_to_disk(tmp_path / "saved")
    assert len(load_examples(task("hub://./saved:train"), "train", tmp_path).examples) == 2
    with pytest.raises(UserError, match="no split dev; allowed: train"):
        load_examples(task("hub://./saved:dev"), "train", tmp_path)


def test_more_rows_than_are_read_at_once_keep_their_order(datasets: Any, tmp_path: Path) -> None:
    rows = {"text": [f"text {n}" for n in range(2503)], "label": [n % 2 for n in range(2503)]}
    save(datasets, tmp_path / "saved", rows, "train")
    loaded = load_examples(task("hub://./saved:train"), "train", tmp_path)
    assert [example.text for example in loaded.examples] == rows["text"]
    assert [example.label for example in loaded.examples] == rows["label"]
    assert loaded.examples[-1].id == "saved:train:2503"


def test_classes_with_names_are_read_by_number(datasets: Any, tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["not_duplicate", "duplicate"])
    features = datasets.Features({"text": datasets.Value("string"), "label": names})
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    datasets.DatasetDict(train=rows).save_to_disk(tmp_path / "saved")
    loaded = load_examples(task("hub://./saved:train"), "train", tmp_path)
    assert [example.label for example in loaded.examples] == [1, 0]


def test_a_score_of_0_to_1_is_rescaled_as_that_of_any_source(datasets: Any, tmp_path: Path) -> None:
    rows = {"sentence1": ["a", "b", "c"], "sentence2": ["d", "e", "f"], "score": [0.0, 0.76, 1.0]}
    save(datasets, tmp_path / "saved", rows, "train", "dev")
    source = SourceConfig(PAIR, ["hub://./saved:train"], ["hub://./saved:dev"], range=[0.0, 1.0])
    fields = {"kind": "regression", "range": [0.0, 5.0], "columns": PAIR}
    spec = task(**fields, sources={"stsb": source})
    loaded = load_examples(spec, "dev", tmp_path)
    assert [example.label for example in loaded.examples] == [0.0, pytest.approx(3.8), 5.0]
    assert loaded.sources == {"stsb": SourceCount(3, 0)}
    assert loaded.examples[0].id == "stsb:saved:dev:1"


def test_a_script_beside_the_data_is_not_run(datasets: Any, tmp_path: Path) -> None:
    save(datasets, tmp_path / "saved", ROWS, "train")
    script = f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
    for place in ("saved/saved.py", "saved/train/train.py", "saved/train/data.py"):
        (tmp_path / place).write_text(script)
    assert len(load_examples(task("hub://./saved:train"), "train", tmp_path).examples) == 2
    assert not (tmp_path / "ran").exists()


# What cannot be read


def refused(name: str, data_dir: Path | None, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_examples(task(name), "train", data_dir)
    assert len(str(caught.value).splitlines()) == 1


def test_a_split_that_is_not_there_is_named_with_the_others(datasets: Any, tmp_path: Path) -> None:
    save(datasets, tmp_path / "saved", ROWS, "train", "validation")
    message = r"task\.x\.train: .*no split valid; allowed: train, validation \(nearest: validation"
    refused("hub://./saved:valid", tmp_path, message)


def test_no_such_folder(datasets: Any, tmp_path: Path) -> None:
    refused("hub://./saved:train", tmp_path, r"but no folder .*saved; allowed: a folder of save_to")
    refused("hub:///no/such:train", None, r"but no folder /no/such")


def test_a_folder_that_the_library_did_not_save(datasets: Any, tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    refused("hub://./saved:train", tmp_path, r"cannot be read .*a folder of save_to_disk")


@pytest.mark.parametrize("spoil", ["cut", "gone", "state"])
def test_a_damaged_set(datasets: Any, tmp_path: Path, spoil: str) -> None:
    save(datasets, tmp_path / "saved", ROWS, "train")
    split = tmp_path / "saved" / "train"
    [data] = split.glob("*.arrow")
    if spoil == "cut":
        data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    elif spoil == "gone":
        data.unlink()
    else:
        (split / "state.json").write_text("{")
    refused("hub://./saved:train", tmp_path, r"hub://\./saved:train.*(cannot be read|damaged)")


def test_a_missing_column_is_named(datasets: Any, tmp_path: Path) -> None:
    save(datasets, tmp_path / "saved", {"sentence": ["a"], "label": [1]}, "train")
    message = r"hub://\./saved:train: found no column 'text' .*allowed: sentence, label"
    refused("hub://./saved:train", tmp_path, message)


def test_a_missing_library_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    message = r"task\.x\.train: .*no library .*pip install 'mtl-sharing\[hub\]'"
    refused("hub://SetFit/sst5:train", tmp_path, message)


@pytest.mark.parametrize("name", ["SetFit/sst5", "nyu-mll/glue/qqp"])
def test_no_network(
    datasets: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    message = rf"task\.x\.train: .*{name}.* the hub cannot be reached; allowed: network .*{name} of"
    refused(f"hub://{name}:train", tmp_path, message)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("DatasetNotFoundError", r"a/b:train, which the hub does not show; allowed: the name of a"),
        ("DatasetGenerationError", r"a/b:train, which cannot be read \(reason\); allowed: a split"),
    ],
)
def test_what_the_hub_refuses(
    datasets: Any, monkeypatch: pytest.MonkeyPatch, error: str, message: str
) -> None:
    def refuse(*names: str, split: str) -> None:
        assert (names, split) == (("a/b",), "train")
        raise getattr(datasets.exceptions, error)("reason\nand more")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    refused("hub://a/b:train", None, message)
