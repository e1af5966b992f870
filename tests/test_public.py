"""The public face of the package: its names, loaded when they are used, and ``train``."""

import csv
import json
import logging
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobRuntime

import mtl_sharing
from mtl_sharing import (
    Config,
    SharingPlan,
    UserError,
    export_run,
    load_run,
    train,
    write_report,
)
from support import QUICK, interrupted_at_step, load_config

NAMES = ["Config", "SharingPlan", "UserError", "__version__", "export_run", "load_run", "train",
         "write_report"]  # fmt: skip
OVERRIDES = [*QUICK, "encoder.layers=2", "split=1", "trainer.max_steps=3", "trainer.eval_every=1",
             "trainer.precision=fp32", "encoder.dropout=0.1", "sampler=proportional"]  # fmt: skip


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch):
    monkeypatch.setattr("mtl_sharing.job.stages.draw_curves", lambda *arguments: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that ``train`` made of ``OVERRIDES``."""
    folder = tmp_path_factory.mktemp("public") / "new" / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mtl_sharing.job.stages.draw_curves", lambda *arguments: None)
        train(OVERRIDES, folder)
    return folder


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def metrics(folder):
    """metrics.csv without its wall times."""
    with (folder / "metrics.csv").open() as file:
        return [row | {"train_s": ""} for row in csv.DictReader(file)]


def test_these_names_are_public_and_no_others():
    assert mtl_sharing.__all__ == dir(mtl_sharing) == NAMES
    assert all(hasattr(mtl_sharing, name) for name in NAMES)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mtl_sharing.nothing  # noqa: B018
    assert str(SharingPlan.parse("S2", ("a", "b"), 2)) == "S2"


def test_the_import_loads_nothing_heavy():
    code = (
        "import sys, mtl_sharing; dir(mtl_sharing); mtl_sharing.__version__\n"
        "heavy = {'torch', 'hydra', 'numpy', 'omegaconf'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "own = sorted(name for name in sys.modules if name.startswith('mtl_'))\n"
        "assert own == ['mtl_sharing', 'mtl_sharing.utils', 'mtl_sharing.utils.spinning']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_cut_result_is_written_again(folder, tmp_path):
    run = shutil.copytree(folder, tmp_path / "run")
    whole = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text("{")
    again = train(OVERRIDES, run)
    assert again["tasks"] == whole["tasks"]
    assert json.loads((run / "result.json").read_text()) == again


def test_a_run_of_overrides_is_the_commands_own(mtl_train, folder):
    done = mtl_train(*OVERRIDES, "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert weights(done.cwd / "run") == weights(folder)
    ours, theirs = train(OVERRIDES, folder), done.run_result("run")
    assert ours["performance"] == theirs["performance"]
    assert ours["tasks"] == theirs["tasks"]
    frame = load_run(folder, device="cpu").predict(["a good film"])
    assert list(frame.columns)[:3] == ["sst", "sst_probability", "sst_probability_0"]


def test_a_config_trains_like_its_overrides(folder, tmp_path):
    config = replace(load_config(*OVERRIDES), dry_run=False)
    assert isinstance(config, Config)
    result = train(config, tmp_path / "run")
    assert result["status"] == "finished"
    assert weights(tmp_path / "run") == weights(folder)


def test_a_finished_run_is_read_and_another_refused(folder):
    before = weights(folder)
    assert train([*OVERRIDES, "trainer.device=cpu"], str(folder))["status"] == "finished"
    with pytest.raises(UserError, match=r"a run with another seed, suite\.max_train_rows; allowed"):
        train([*OVERRIDES, "seed=3", "suite.max_train_rows=39"], folder)
    with pytest.raises(UserError, match=r"another trainer\.precision"):
        train([*OVERRIDES, "trainer.precision=bf16"], folder)
    assert weights(folder) == before


def test_a_result_without_its_settings_is_not_read(tmp_path):
    (tmp_path / "result.json").write_text('{"status": "finished"}')
    with pytest.raises(UserError, match=r"which has result\.json but no config\.json"):
        train(OVERRIDES, tmp_path)


def test_part_of_a_run_is_not_overwritten(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"which has config\.json but no result\.json"):
        train(OVERRIDES, tmp_path)


@pytest.mark.parametrize("command", [False, True])
def test_a_stopped_run_goes_on_where_it_was(mtl_train, folder, tmp_path, command):
    """By the same call, and by the command."""
    run = tmp_path / "run"
    with interrupted_at_step(2), pytest.raises(KeyboardInterrupt):
        train(OVERRIDES, run)
    assert json.loads((run / "result.json").read_text())["status"] == "stopped"
    if command:
        done = mtl_train("resume=run")
        assert done.code == 0, done.err
    else:
        assert train(OVERRIDES, run)["status"] == "finished"
    assert weights(run) == weights(folder)
    assert metrics(run) == metrics(folder)


MISTAKES = [
    ["trainer.max_step=3"], ["sharing=hybird"], ["+phases.x.kind=ranking"], ["seed=a", "split=13"],
]  # fmt: skip


@pytest.mark.parametrize("overrides", MISTAKES, ids=str)
def test_a_mistake_has_the_text_of_the_command(mtl_train, tmp_path, overrides):
    with pytest.raises(UserError) as error:
        train(overrides, tmp_path / "x")
    assert mtl_train(*overrides).err == f"mtl-train: {error.value}\n"


def test_calls_that_train_nothing_are_refused(tmp_path):
    config = replace(load_config(*OVERRIDES), dry_run=False)
    config.trainer.max_steps = "many"
    cases = [
        ("split=6", "settings: found split=6; allowed: a list, as in ['split=6']"),
        (6, "settings: found 6; allowed: a dict as {'split': 6}, a list"),
        (
            {"trainer": {"max_step": 3}},
            "trainer.max_step: found an unknown key (nearest: max_steps",
        ),
        (["dry_run=true"], "dry_run: found true"),
        (["check_data=true"], "check_data: found true"),
        (["resume=x"], "resume: found x; allowed: null, and that folder"),
        ({"hydra.run.dir": "x"}, "hydra.run.dir: found 'x'; allowed: the second argument"),
        (["+sweep=search"], "sweep: found search; allowed: a command"),
        (config, "trainer.max_steps: found many; allowed: a whole number"),
    ]
    for settings, message in cases:
        with pytest.raises(UserError) as error:
            train(settings, tmp_path / "x")
        assert message in str(error.value)
    assert not (tmp_path / "x").exists()


def test_arguments_are_named_in_errors(folder, tmp_path):
    calls = [
        (lambda: train({}, 5), "folder: found 5; allowed: a path"),
        (lambda: train({}, config_dir=tmp_path / "x"), "config_dir: found "),
        (lambda: train(Config(), config_dir=tmp_path), "config_dir: found "),
        (lambda: load_run(None), "folder: found None; allowed: a path"),
        (lambda: write_report([]), "folders: found []"),
        (lambda: write_report(folder, formats="html"), "formats: found html; allowed: a list"),
        (lambda: write_report(folder, formats=["htm"]), "formats: found htm (nearest: html)"),
        (lambda: write_report([folder], folder / "result.json"), "out: found "),
        (lambda: export_run(folder, tmp_path / "x"), "task: found none; allowed: one of the run's"),
        (lambda: export_run(folder, folder, "sst"), "out: found "),
    ]
    for call, message in calls:
        with pytest.raises(UserError) as error:
            call()
        assert str(error.value).startswith(message)


def test_settings_of_a_dict_are_those_of_the_overrides(folder):
    pairs = (override.split("=", 1) for override in OVERRIDES)
    values = {key: json.loads(value) if value[0] in "0123456789n" else value
                for key, value in pairs}  # fmt: skip
    trainer = {key.partition(".")[2]: values.pop(key)
               for key in list(values) if key.startswith("trainer.")}  # fmt: skip
    assert train(values | {"trainer": trainer}, folder) == train(OVERRIDES, folder)


def test_a_thread_trains_in_a_new_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(train, OVERRIDES).result()
    assert result.folder in tmp_path.glob("outputs/*/*")
    assert weights(result.folder) == weights(folder)


def test_a_run_is_shown_in_three_lines(folder, tmp_path):
    result = train(OVERRIDES, folder)
    lines = repr(result).splitlines()
    assert lines[0].startswith("S1-I1 (seed 0): ") and lines[2] == str(folder)
    assert [text.split()[:2] for text in lines[1].split(", ")] == [
        ["sst", "accuracy"], ["quora", "accuracy"], ["sts", "pearson"],
    ]  # fmt: skip
    run = load_run(folder)
    assert repr(run) == repr(result) == repr(run.result)
    # A run of three files has no metrics, and a damaged result hinders no prediction.
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        shutil.copy(folder / name, moved / name)
    run, total = load_run(moved), f"{result['params']['total']:,} parameters"
    expected = f"S1-I1 (seed 0): {total}\nsst, quora, sts\n{moved}"
    assert repr(run) == expected and run.result is None
    (moved / "result.json").write_text('{"status": "finished"}')
    assert repr(run) == expected
    with pytest.raises(UserError, match=r"result\.json: found schema None"):
        _ = run.result


def test_a_report_and_an_export(folder, tmp_path):
    report = write_report(folder, tmp_path / "report", formats=["csv"])
    assert list(report.comparison["group"]) == ["S1-I1"]
    assert repr(report).endswith(str(tmp_path / "report" / "tables"))
    exported = export_run(str(folder), str(tmp_path / "sst"), task="sst")
    assert exported.task == "sst" and (tmp_path / "sst" / "README.md").is_file()


def test_a_running_hydra_app_is_left_as_it_is(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    handlers = logging.getLogger().handlers[:]
    with initialize_config_module("mtl_sharing.conf", job_name="app"):
        app = GlobalHydra.instance().hydra
        assert train(OVERRIDES, folder)["status"] == "finished"
        with pytest.raises(UserError):
            train(["nothing=1"], folder)
        assert GlobalHydra.instance().hydra is app
        assert JobRuntime.instance().get("name") == "app"
        assert compose("train", overrides=["seed=5"]).seed == 5
    assert logging.getLogger().handlers == handlers
    assert list(tmp_path.iterdir()) == []


def test_config_groups_of_the_users_own_are_found(tmp_path):
    (tmp_path / "conf" / "scheduler").mkdir(parents=True)
    (tmp_path / "conf" / "scheduler" / "mine.yaml").write_text("warmup: -0.5\n")
    path = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    with pytest.raises(UserError, match=r"scheduler\.warmup: found -0\.5"):
        train([*OVERRIDES, path, "scheduler=mine"], tmp_path / "run")
    with pytest.raises(UserError, match=r"scheduler\.warmup: found -0\.5"):
        train({"scheduler": "mine"}, tmp_path / "run", config_dir=tmp_path / "conf")
