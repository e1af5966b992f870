"""A run goes on with what it began with: other data, weights and settings are refused by name."""

import json
import os
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from mtl_sharing import train
from mtl_sharing.errors import UserError
from mtl_sharing.job import pins
from mtl_sharing.job.pins import input_files
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.model.encoder.checkpoint_files import checkpoint_folder
from support import interrupted_at_step, load_config, rewrite

TEXTS = [("a fine film", "good"), ("a dull film", "bad")]
TABLE = "text,label\n" + "".join(f"{text} {n},{label}\n" for n in range(9) for text, label in TEXTS)
DEV = "text,label\n" + "".join(f"the {text},{label}\n" for text, label in TEXTS)
TASK = """kind: classes
labels: [bad, good]
train: [train.csv]
dev: [dev.csv]
sources:
  more: {train: [more.csv]}
"""
WORDS = ("--config-dir=mine", "+task@task.rev=rev", "suite.tasks=[rev]", "suite.name=mine",
         "data_dir=data", "encoder.checkpoint=bert", "sharing=individual",
         "suite.max_length=30", "trainer.device=cpu", "trainer.threads=1", "score.pairs=0",
         "trainer.batch_size=4", "trainer.max_steps=6", "hydra.run.dir=run")  # fmt: skip


def write_inputs(folder: Path) -> None:
    source = load_config().encoder.checkpoint
    assert source is not None
    shutil.copytree(checkpoint_folder(source), folder / "bert")
    (folder / "mine" / "task").mkdir(parents=True)
    (folder / "mine" / "task" / "rev.yaml").write_text(TASK)
    (folder / "data").mkdir()
    for name, text in (("train", TABLE), ("dev", DEV), ("more", TABLE)):
        (folder / "data" / f"{name}.csv").write_text(text)


@pytest.fixture(scope="module")
def stopped(command_in, tmp_path_factory) -> Path:
    """A folder with a run that was interrupted, and all that it reads."""
    folder = tmp_path_factory.mktemp("stopped")
    write_inputs(folder)
    with command_in(folder) as mtl_train, interrupted_at_step(3):
        done = mtl_train(*WORDS, "trainer.eval_every=3")
    assert done.code == 130, done.out + done.err
    return folder


@pytest.fixture
def place(stopped, tmp_path) -> Path:
    """The test's own folder with a copy of it."""
    for path in stopped.iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    # Relative paths start where a run was started.
    settings = tmp_path / "run" / "settings.json"
    rewrite(settings, settings.read_text().replace(str(stopped), str(tmp_path)))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    # A run's own file as if the run had written it so, beside which a damaged one is no question.
    write = rewrite if path.parent.name == "run" else Path.write_text
    write(path, text.replace(old, new, 1))


def change_a_weight(folder: Path) -> None:
    weights = load_file(folder / "bert" / "model.safetensors")
    name = next(name for name in weights if name.endswith("query.weight"))
    weights[name][0, 0] += 1e-3
    save_file(weights, folder / "bert" / "model.safetensors")


def change_settings(folder: Path) -> None:
    for key, old, new in (("max_steps", 6, 9), ("eval_every", 3, 2), ("patience", "null", 7),
                          ("clip", 1.0, 3.0)):  # fmt: skip
        replaced(folder / "run" / "settings.json", f'"{key}": {old}', f'"{key}": {new}')


REFUSED = {
    "another train file": (
        lambda f: (f / "data" / "train.csv").write_text(TABLE + TABLE[11:]),
        ["task.rev.train: ", "data/train.csv, 37 lines", "began with 19 lines"]),
    "a label": (
        lambda f: replaced(f / "data" / "train.csv", "dull film 3,bad", "dull film 3,good"),
        ["task.rev.train: ", "19 lines, 345 bytes", "began with 19 lines, 344 bytes"]),
    "a text of equal length": (
        lambda f: replaced(f / "data" / "train.csv", "film 3", "film 4"),
        ["task.rev.train: ", "csv, 19 lines, 344 bytes, sha256", "began with 19 lines, 344 bytes"]),
    "a row more": (
        lambda f: (f / "data" / "train.csv").write_text(TABLE + "more,bad\n"),
        ["task.rev.train: ", "20 lines", "19 lines"]),
    "two rows the other way round": (
        lambda f: replaced(f / "data" / "train.csv", "a fine film 0,good\na dull film 0,bad\n",
                           "a dull film 0,bad\na fine film 0,good\n"),
        ["task.rev.train: "]),
    "the rows of a source": (
        lambda f: (f / "data" / "more.csv").write_text(DEV),
        ["task.rev.sources.more.train: ", "3 lines"]),
    "the dev file": (
        lambda f: (f / "data" / "dev.csv").write_text(DEV[:-22] + "\n"),
        ["task.rev.dev: ", "data/dev.csv"]),
    "no train file": (
        lambda f: (f / "data" / "train.csv").unlink(),
        ["task.rev.train: ", "data/train.csv, no file", "data_dir=FOLDER"]),
    "a weight of the checkpoint": (
        change_a_weight, ["encoder.checkpoint: ", "bert/model.safetensors", "sha256"]),
    "the vocabulary": (
        lambda f: replaced(f / "bert" / "tokenizer.json", '"the"', '"teh"'),
        ["encoder.checkpoint: ", "bert/tokenizer.json"]),
    "an option of the tokenizer": (
        lambda f: (f / "bert" / "tokenizer_config.json").write_text('{"do_lower_case": false}'),
        ["encoder.checkpoint: ", "bert/tokenizer_config.json", "began with no file"]),
    "the run's own tokenizer": (
        lambda f: replaced(f / "run" / "tokenizer.json", '"the"', '"teh"'),
        ["run/tokenizer.json: ", "sha256"]),
    "a setting": (
        lambda f: replaced(f / "run" / "settings.json", '"max_steps": 6', '"max_steps": 9'),
        ["trainer.max_steps: ", "found 9, where the run began with 6"]),
    "several settings": (
        change_settings,
        ["optimizer.clip: found 3.0, where", "; trainer.max_steps: 9, where the run began with 6; ",
         "; and 1 more; allowed"]),
    "several files": (
        lambda f: [(f / "data" / f"{name}.csv").write_text(DEV * 3) for name in ("train", "dev")],
        ["task.rev.train: found data/train.csv, ", "; task.rev.dev: data/dev.csv, "]),
    "a key that is not known": (
        lambda f: replaced(f / "run" / "config.json", '"trainer": {', '"trainer": {"steps": 3, '),
        ["run/config.json: found settings that this version does not read"]),
    "no config.json beside a checkpoint": (
        lambda f: (f / "run" / "config.json").unlink(),
        ["run: found a checkpoint, but no config.json"]),
    "a damaged record": (
        lambda f: replaced(f / "run" / "inputs.json", '"files"', '"fils"'),
        ["run/inputs.json: ", "no files"]),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_a_difference_is_refused(mtl_train, place, change, words):
    change(place)
    before = contents(place / "run")
    done = mtl_train("resume=run")
    assert done.code == 2, done.out
    assert len(done.err.strip().splitlines()) == 1
    for word in words:
        assert word in done.err
    assert contents(place / "run") == before


def touch(folder: Path) -> None:
    for path in (*folder.glob("data/*"), *folder.glob("bert/*")):
        os.utime(path, (0, 0))
        shutil.copy(path, path.with_name("copy"))
        os.replace(path.with_name("copy"), path)


ALLOWED = {
    "nothing": (lambda f: None, []),
    "only touched": (touch, []),
    "a folder that was moved": (
        lambda f: (f / "data").rename(f / "it's elsewhere"), ["data_dir=it's elsewhere"]),
    "a folder in quotes": (
        lambda f: (f / "data").rename(f / "my=data"), ["data_dir='my=data'"]),
    "a folder whose name Hydra would refuse": (
        lambda f: (f / "data").rename(f / "my=data"), ["data_dir=my=data"]),
    "another cache": (
        lambda f: replaced(f / "run" / "settings.json", '"max_gb": ', '"max_gb": 1'), []),
    "a file that is not read": (lambda f: (f / "data" / "test.csv").write_text("text\n"), []),
}  # fmt: skip


@pytest.mark.parametrize(("change", "arguments"), ALLOWED.values(), ids=ALLOWED)
def test_what_decides_nothing_may_differ(mtl_train, place, change, arguments):
    change(place)
    done = mtl_train("resume=run", *arguments)
    assert done.code == 0, done.err
    assert "going on after step 3 of 6" in done.err
    assert done.run_result("run")["status"] == "finished"


BAD_FOLDERS = {
    "null": ("null", "task.rev.train: found train.csv, no file"),
    "several": ("a,b", "data_dir: found a,b, which is several values"),
    "in quotes": ("'no where'", "task.rev.train: found HERE/no where/train.csv, no file"),
    "without quotes": ("no=where", "data_dir: found no=where, which needs quotes as text"),
    "nothing to resolve": ("${nothing}", "data_dir: found ${nothing} (Interpolation key"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "message"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_a_moved_folder_is_named_as_hydra_reads_it(mtl_train, place, value, message):
    before = contents(place / "run")
    done = mtl_train("resume=run", f"data_dir={value}")
    assert done.code == 2
    assert message.replace("HERE", str(place)) in done.err
    assert contents(place / "run") == before


def test_other_data_in_a_moved_folder_are_refused(mtl_train, place):
    shutil.copytree(place / "data", place / "moved")
    (place / "moved" / "dev.csv").write_text(DEV * 2)
    done = mtl_train("resume=run", "data_dir=moved")
    assert done.code == 2
    assert "task.rev.dev: " in done.err and "moved/dev.csv" in done.err


def test_a_run_of_an_earlier_version_is_left_as_it_is(mtl_train, place):
    (place / "run" / "inputs.json").unlink()
    before = contents(place / "run")
    done = mtl_train("resume=run")
    assert done.code == 2
    assert "run: found the checkpoint of an earlier version" in done.err
    assert "a new run in another folder" in done.err
    assert contents(place / "run") == before


def test_a_run_that_failed_before_it_trained_may_read_what_was_mended(mtl_train, tmp_path):
    write_inputs(tmp_path)
    data = tmp_path / "data" / "train.csv"
    data.write_text(TABLE + "more,so so\n")
    assert mtl_train(*WORDS).code == 2
    data.write_text(TABLE)
    done = mtl_train("resume=run")
    assert done.code == 0, done.err


def test_a_start_that_was_killed_between_its_records_goes_on(mtl_train, place):
    """As on a kill after inputs.json was written: nothing has trained, so data may be others."""
    shutil.rmtree(place / "run" / "checkpoint")
    (place / "run" / "config.json").unlink()
    (place / "data" / "dev.csv").write_text(DEV + "the end,bad\n")
    done = mtl_train("resume=run")
    assert done.code == 0, done.err
    record = json.loads((place / "run" / "inputs.json").read_text())
    assert record["files"]["task.rev.dev: dev.csv"]["lines"] == 4


def test_other_examples_of_the_same_files_are_refused(mtl_train, place, monkeypatch):
    """As another version of a library, or of a data set of the hub, gives them."""
    monkeypatch.setattr(pins, "digest_splits", lambda inputs: {"train/rev": "123"})
    done = mtl_train("resume=run")
    assert done.code == 2
    assert "task.rev.train: found other examples, digest 123" in done.err


@pytest.mark.slow
def test_python_refuses_and_allows_the_same(place, monkeypatch):
    monkeypatch.chdir(place)
    words = [word for word in WORDS if not word.startswith(("--config-dir", "hydra."))]
    words += ["trainer.eval_every=3", f"hydra.searchpath=[{place / 'mine'}]"]
    shutil.move(place / "data", place / "moved")
    moved = [word.replace("data_dir=data", "data_dir=moved") for word in words]
    (place / "moved" / "dev.csv").write_text(DEV * 2)
    with pytest.raises(UserError, match=r"task\.rev\.dev: found moved/dev\.csv"):
        train(moved, "run")
    (place / "moved" / "dev.csv").write_text(DEV)
    assert train(moved, "run")["status"] == "finished"


def test_the_bundled_suite_pins_its_checkpoint_and_examples(tmp_path, quick_run):
    record = json.loads((quick_run() / "inputs.json").read_text())
    assert record["files"] == {} and len(record["examples"]) == 6
    with_weights = resolve_spec(load_config())
    names = [key.rpartition("/")[2] for key in input_files(with_weights)]
    assert "model.safetensors" in names and "tokenizer.json" in names
