"""The value of an interpolated key: never in a run's files, and wanted again by resume."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import filelock
import pytest

from mtl_sharing.cli.export import main as export
from mtl_sharing.cli.report import main as report
from mtl_sharing.cli.resume import resume
from mtl_sharing.config import Config
from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.manifest import replace_listed_text
from support import QUICK, rewrite

SECRET = "hunter2SECRET"
TASK = """\
kind: binary
labels: [bad, good]
dev: [dev.csv]
"""
ROWS = "".join(f"a fine film {n},good\na dull film {n},bad\n" for n in range(9))
TRAINED = ("--config-dir=mine", "+task@task.rev=rev", "suite.tasks=[rev]", *QUICK,
           "encoder.layers=1", "score.clock=flops", "trainer.device=cpu",
           "trainer.threads=1")  # fmt: skip
ASKED = {
    "data_dir": "${oc.env:SECRET}/data",
    "task.rev.train": "[${oc.env:SECRET}.csv]",
    "task.rev.dev": "[dev.csv,${oc.env:SECRET}-dev.csv]",
    "encoder.checkpoint": "${oc.env:SECRET}/bert",
    "score.reference": "${oc.env:SECRET}/separate",
    "cache.folder": "${oc.env:SECRET}/cache",
    "suite.name": "${oc.env:SECRET}",
    "optimizer.lr": "${oc.env:RATE}",
    "tracker": "{mlflow: {folder: '${oc.env:SECRET}/ml'}}",
    "tracker.mlflow.experiment": "${oc.env:SECRET}",
}
VALUES = {key: text.replace("${oc.env:SECRET}", SECRET).replace("${oc.env:RATE}", "0.001")
          for key, text in ASKED.items() if key != "tracker"}  # fmt: skip
VALUES["tracker.mlflow.folder"] = f"{SECRET}/ml"


@pytest.fixture(scope="module")
def interpolated_run(command_in, tmp_path_factory) -> Path:
    """A folder with a finished run that interpolated much, and all that it reads."""
    folder = tmp_path_factory.mktemp("interpolated")
    (folder / "mine" / "task").mkdir(parents=True)
    (folder / "mine" / "task" / "rev.yaml").write_text(TASK)
    data = folder / SECRET / "data"
    data.mkdir(parents=True)
    for name in (f"{SECRET}.csv", "dev.csv", f"{SECRET}-dev.csv"):
        (data / name).write_text(f"text,label\n{ROWS}")
    plain = {key: VALUES[key] for key in ("data_dir", "task.rev.train", "task.rev.dev")}
    with pytest.MonkeyPatch.context() as patch, command_in(folder) as mtl_train:
        done = mtl_train(*TRAINED, *words_of(plain), "sharing=individual",
                         f"hydra.run.dir={SECRET}/separate")  # fmt: skip
        assert done.code == 0, done.err
        patch.setattr("sys.argv", ["mtl-export", f"{SECRET}/separate", "--task", "rev",
                                   "--out", f"{SECRET}/bert"])  # fmt: skip
        export()
        patch.setenv("SECRET", SECRET)
        patch.setenv("RATE", "0.001")
        words, more = words_of(ASKED), ("score.untuned=true", "hydra.run.dir=run")
        done = mtl_train(*TRAINED, *words,
                         "+hydra.job.env_set.COPY=${oc.env:SECRET}", *more)  # fmt: skip
        assert done.code == 0, done.err
    return folder


@pytest.fixture
def place(interpolated_run, tmp_path, monkeypatch) -> Path:
    """The test's own folder with a copy of the run, as if it had been stopped, and its inputs."""
    shutil.copytree(interpolated_run, tmp_path, dirs_exist_ok=True)
    for name in ("settings.json", "result.json", ".hydra/hydra.yaml"):
        path = tmp_path / "run" / name
        text = path.read_text().replace(str(interpolated_run), str(tmp_path))
        text = text.replace('"status": "finished"', '"status": "running"')
        replace_listed_text(tmp_path / "run", name, text)
    monkeypatch.setenv("SECRET", "the reader's own")
    monkeypatch.setenv("RATE", "7")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words_of(values: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in values.items()]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def holding(folder: Path, text: str) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path.relative_to(folder)) for path in files if text.encode() in path.read_bytes()]


def test_no_file_of_a_run_holds_the_value(interpolated_run, monkeypatch):
    monkeypatch.chdir(interpolated_run)
    monkeypatch.setenv("SECRET", "the reader's own")
    for command, name in ((report, "report"), (export, "export")):
        monkeypatch.setattr("sys.argv", [f"mtl-{name}", "run", "--out", name])
        command()
    for name in ("run", "report", "export"):
        assert holding(interpolated_run / name, SECRET) == []
        assert holding(interpolated_run / name, "the reader's own") == []
    run = interpolated_run / "run"
    settings = json.loads((run / "settings.json").read_text())
    assert settings["settings"]["optimizer"]["lr"] == "${oc.env:RATE}"
    config = json.loads((run / "config.json").read_text())["settings"]
    assert config["optimizer"]["lr"] == 0.001
    assert config["encoder"]["checkpoint"] == "${oc.env:SECRET}/bert"
    assert holding(run, "oc.env:SECRET") != []
    assert "COPY: ${oc.env:COPY}" in (run / ".hydra" / "hydra.yaml").read_text()


def test_resume_asks_for_every_key(mtl_train, place):
    done = mtl_train(
        "resume=run",
        *words_of({k: v for k, v in VALUES.items() if k not in ("data_dir", "cache.folder")}),
    )
    assert done.code == 2
    assert done.err.startswith(
        "mtl-train: data_dir: found ${oc.env:SECRET}/data, which is not resolved from a run's "
        "folder; allowed: mtl-train resume=RUN_DIR data_dir=VALUE cache.folder=VALUE, as the run "
    )


def test_resume_goes_on_with_the_values_that_the_run_began_with(mtl_train, place, monkeypatch):
    own = VALUES | {"optimizer.lr": "${oc.env:OWN}", "encoder.checkpoint": "${oc.env:PLACE}/bert"}
    monkeypatch.setenv("OWN", "1e-3")
    monkeypatch.setenv("PLACE", SECRET)
    (place / SECRET / "data").rename(place / SECRET / "moved")
    done = mtl_train("resume=run", *words_of(own | {"data_dir": f"{SECRET}/moved"}))
    assert done.code == 0, done.err
    assert "going on after step 4 of 4" in done.err
    assert holding(place / "run", SECRET) == []


@pytest.mark.parametrize("key", ["optimizer.lr", "task.rev.dev", "encoder.checkpoint"])
def test_resume_refuses_another_value(mtl_train, place, key):
    other = {"optimizer.lr": "0.002", "task.rev.dev": "[dev.csv]", "encoder.checkpoint": "null"}
    before = {p: p.read_bytes() for p in (place / "run").rglob("*") if p.is_file()}
    done = mtl_train("resume=run", *words_of(VALUES | {key: other[key]}))
    assert done.code == 2
    assert f"{key}: found " in done.err and "${oc.env:" in done.err
    del before[place / "run" / "train.log"]
    assert {p: p.read_bytes() for p in before} == before


def write_run(place: Path, change) -> None:
    """A folder with nothing but settings.json, as a stranger may write it."""
    settings = json.loads(json.dumps(asdict(Config())))
    settings["tracker"]["mlflow"].update(enabled=True, folder="run/ml")
    record = {
        "schema": 1,
        "settings": settings,
        "interpolated": {},
        "cwd": str(place),
        "sweep": None,
    }
    change(record, settings)
    (place / "run").mkdir()
    rewrite(place / "run" / "settings.json", json.dumps(record))


ELSEWHERE = {
    "the cache, absolute": ("cache", lambda r, s: s["cache"].update(folder="/nowhere/cache")),
    "the cache, above": ("cache", lambda r, s: s["cache"].update(folder="../cache")),
    "the cache, by a link of the run": (
        "cache", lambda r, s: s["cache"].update(folder="run/link/cache")),
    "the cache, from another folder": (
        "cache", lambda r, s: (s["cache"].update(folder="cache"), r.update(cwd="/usr"))),
    "the tracker's store": (
        "tracker.mlflow", lambda r, s: s["tracker"]["mlflow"].update(folder="/nowhere/ml")),
}  # fmt: skip


@pytest.mark.parametrize(("key", "change"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_run_makes_resume_write_nowhere_else(here, key, change):
    write_run(here, change)
    (here / "run" / "link").symlink_to("/tmp")
    with pytest.raises(UserError, match="which the run names, outside of its folder and") as error:
        resume("run", ["resume=run"])
    assert error.value.where == f"{key}.folder"
    assert f"{key}.folder=FOLDER" in error.value.allowed
    # Relative to where the command is, and not to where the run says.
    words = ["tracker.mlflow.folder=own", f"{key}.folder=own"]
    config, *_ = resume("run", ["resume=run", *words])
    named = config.cache if key == "cache" else config.tracker.mlflow
    assert named.folder == str(here / "own")


def test_a_run_may_write_below_itself_and_below_the_working_folder(here):
    write_run(here, lambda record, settings: settings["cache"].update(folder=str(here / "cache")))
    config, *_ = resume("run", ["resume=run"])
    assert config.cache.folder == str(here / "cache")
    assert config.tracker.mlflow.folder == str(here / "run" / "ml")


@pytest.mark.parametrize("cwd", ["", "relative", 3, None, "/no/such/folder", "a\0b", ["/tmp"]])
def test_relative_paths_start_here_where_the_run_names_no_folder(here, cwd):
    write_run(here, lambda record, settings: record.update(cwd=cwd))
    config, folder, _ = resume("run", ["resume=run"])
    assert Path.cwd() == here
    assert config.tracker.mlflow.folder == str(here / "run" / "ml")
    assert folder == here / "run"


def make_old(place: Path) -> None:
    for name in ("settings.json", "manifest.json"):
        (place / "run" / name).unlink()


def test_a_run_of_an_earlier_version_is_read_without_resolving(place, caplog):
    make_old(place)
    with pytest.raises(UserError, match=r"data_dir: found \$\{oc\.env:SECRET\}/data, which is not"):
        resume("run", ["resume=run"])
    config, _, start = resume("run", ["resume=run", *words_of(VALUES)])
    assert config.optimizer.lr == 0.001
    assert config.data_dir == str(place / SECRET / "data")
    assert start.texts["encoder.checkpoint"] == "${oc.env:SECRET}/bert"
    assert Path.cwd() == place
    log = (place / "run" / "train.log").read_text()
    assert "a run of an earlier version, whose settings nothing checks" in log.splitlines()[-1]


def test_a_run_that_lost_its_settings_is_none_of_an_earlier_version(place):
    (place / "run" / "settings.json").unlink()
    with pytest.raises(UserError, match=r"settings\.json: found no file, which the run wrote"):
        resume("run", ["resume=run", *words_of(VALUES)])


def test_an_old_key_that_is_none_is_refused(here):
    (here / "run" / ".hydra").mkdir(parents=True)
    for text in (
        "5: ${x}\n",
        "a: {5: 3}\n",
        "a; ls: ${b}\n",
        "a.b: ${c}\nc: 1\nseed: x\n",
        "seed: " + "[" * 400 + "]" * 400,
    ):
        (here / "run" / ".hydra" / "config.yaml").write_text(text)
        with pytest.raises(UserError, match=r"(\.hydra/config\.yaml|a\.b): found "):
            resume("run", ["resume=run"])


def test_old_references_to_keys_alone_are_followed(place):
    make_old(place)
    path = place / "run" / ".hydra" / "config.yaml"
    text = path.read_text().replace("${oc.env:SECRET}", "x").replace("${oc.env:RATE}", "1e-3")
    path.write_text(text.replace("head_lr: null", "head_lr: ${optimizer.lr}"))
    words = ["resume=run", "cache.folder=c"]
    assert resume("run", words)[0].optimizer.head_lr == 0.001
    for other in ("${x:${seed}}", "a${seed}", "${task}", "\\${seed}"):
        path.write_text(text.replace("head_lr: null", f"head_lr: '{other}'"))
        with pytest.raises(UserError, match=r"optimizer\.head_lr: found "):
            resume("run", words)


def test_a_second_start_leaves_a_running_run_as_it_is(mtl_train, tmp_path):
    """Before its first files but settings.json, as while it reads its data."""
    words = (*QUICK, "encoder.layers=1", "hydra.run.dir=run")
    assert mtl_train(*words, "seed=-1").code == 2  # no result: ended early
    run = tmp_path / "run"
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    log = before.pop(run / "train.log")
    assert {"settings.json", "config.yaml", "hydra.yaml", "overrides.yaml"} <= {
        path.name for path in before
    }  # fmt: skip
    for more in ((), ("dry_run=true",), ("hydra.output_subdir=null",)):
        with filelock.FileLock(run / ".lock"):
            again = mtl_train(*words, "seed=3", *more)
        assert again.code == 2
        assert "in use" in again.err
        assert {p: p.read_bytes() for p in before} == before
        assert (run / "train.log").read_bytes().startswith(log)


@pytest.mark.slow
def test_of_two_starts_at_once_the_second_does_not_go_on_with_the_first(
    mtl_train, tmp_path, monkeypatch, hybrid_run
):
    """The first ended between the second's look at the folder and its lock."""
    shutil.copytree(hybrid_run.folder, tmp_path / "run")
    monkeypatch.setattr("mtl_sharing.cli.train.refuse_used_folder", lambda folder: None)
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.name != "train.log"
              and p.is_file()}  # fmt: skip
    done = mtl_train(*QUICK, "hydra.run.dir=run")
    assert done.code == 2
    assert "which holds a run" in done.err
    assert {p: p.read_bytes() for p in before} == before


def test_a_run_without_hydras_files_goes_on(mtl_train, tmp_path):
    done = mtl_train(*QUICK, "hydra.run.dir=run", "hydra.output_subdir=null", "seed=-1")
    assert done.code == 2
    shutil.rmtree(tmp_path / "run" / ".hydra")
    again = mtl_train("resume=run")
    assert "seed: found -1" in again.err
    refused = mtl_train(*QUICK, "hydra.run.dir=other", "hydra.output_subdir=.hydra")
    assert refused.code == 2
    assert "hydra.output_subdir: found .hydra" in refused.err
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_no_tracker_holds_the_value(mtl_train, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("SECRET", SECRET)
    trackers = "tracker={tensorboard: {enabled: true}, mlflow: {enabled: true, folder: store}}"
    done = mtl_train(
        *QUICK, "hydra.run.dir=run", trackers, "cache.folder=${oc.env:SECRET}/cache",
        "suite.name=${oc.env:SECRET}", "tracker.mlflow.experiment=${oc.env:SECRET}",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "tensorboard").is_dir() and (
        tmp_path / "run" / "mlflow.json"
    ).is_file()
    assert holding(tmp_path / "run", SECRET) == []
    # The store has the experiment's name and nothing else.
    text = (tmp_path / "store" / "mlflow.db").read_bytes()
    assert f"{SECRET}/cache".encode() not in text
    assert b"${oc.env:SECRET}/cache" in text


@pytest.mark.slow
def test_no_file_of_a_sweep_holds_the_value(mtl_train, tmp_path, monkeypatch):
    """best.yaml interpolates again, and has other texts as they are."""
    monkeypatch.setenv("SECRET", SECRET)
    done = mtl_train(
        "-m", "+sweep=split_points", *QUICK, "encoder.layers=2", "score.clock=flops",
        "score.objective=performance", "hydra.sweeper.n_trials=2", "hydra.sweep.dir=sweep",
        "cache.folder=${oc.env:SECRET}/cache", "data_dir=${oc.env:SECRET}",
        r"suite.name='\${oc.env:SECRET}'",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert holding(tmp_path / "sweep", SECRET) == []
    text = (tmp_path / "sweep" / "best.yaml").read_text()
    assert "folder: ${oc.env:SECRET}/cache" in text
    assert r"name: \${oc.env:SECRET}" in text
    again = mtl_train("--config-dir=sweep", "--config-name=best", "hydra.run.dir=best")
    assert again.code == 0, again.err
    settings = json.loads((tmp_path / "best" / "settings.json").read_text())
    assert settings["interpolated"].keys() == {"data_dir", "cache.folder"}
    assert settings["settings"]["suite"]["name"] == "${oc.env:SECRET}"
