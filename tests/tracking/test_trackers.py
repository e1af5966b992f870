"""Trackers hold what metrics.csv holds, each row once, and never cost a run."""

import csv
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.job.run import run_job
from mtl_sharing.tracking.settings import TrackerConfig
from mtl_sharing.tracking.trackers import Trackers, check_trackers, tracking
from mtl_sharing.utils.nested import flatten
from support import QUICK, load_config, start, wait_for

BOTH = "tracker=[tensorboard,mlflow]"
pytest.importorskip("tensorboard")
pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """One store for all tests, since making one takes seconds."""
    return tmp_path_factory.mktemp("store")


def client_of(folder: Path):
    """The package's own reader."""
    from mtl_sharing.tracking.mlflow import _open_store

    return _open_store(folder)


def metrics_of(run: Path) -> dict[str, list[tuple[int, float]]]:
    """metrics.csv by column: steps and values."""
    found: dict[str, list[tuple[int, float]]] = {}
    with (run / "metrics.csv").open() as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if name not in ("step", "phase") and value:
                    found.setdefault(name, []).append((int(row["step"]), float(value)))
    return found


def events_of(run: Path):
    """TensorBoard's reader of all events of a run, none left out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    return found.Reload()


def check_events(run: Path, final: bool) -> None:
    events, wanted = events_of(run), metrics_of(run)
    tags = events.Tags()["scalars"]
    assert {tag for tag in tags if not tag.startswith("result/")} == set(wanted)
    assert final == any(tag.startswith("result/") for tag in tags)
    for name, rows in wanted.items():
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert found == [(step, pytest.approx(value, rel=1e-6)) for step, value in rows], name


def check_store(client, run: Path, status: str):
    from mlflow.entities import RunStatus

    run_id = json.loads((run / "mlflow.json").read_text())["run_id"]
    found = client.get_run(run_id)
    assert found.info.run_name == run.name
    assert found.info.status == status
    assert RunStatus.from_string(status)
    names = {name for name in found.data.metrics if not name.startswith("result/")}
    wanted = {name.replace("+", "_"): rows for name, rows in metrics_of(run).items()}
    assert names == set(wanted)
    for name, rows in wanted.items():
        history = client.get_metric_history(run_id, name)
        assert sorted((m.step, m.value) for m in history) == sorted(rows), name
    return found


def test_both_hold_what_the_run_holds(mtl_train, store, monkeypatch):
    """The run asks no network meanwhile."""

    def refuse(self, address):
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    words = ("trainer.eval_every=2", "loss.cosines=network", "phases=heads_first")
    done = mtl_train(*QUICK, BOTH, *words, f"tracker.mlflow.folder={store}",
                     "tracker.mlflow.experiment=first", "seed=3")  # fmt: skip
    assert done.code == 0, done.err
    run = done.folder
    assert any("+" in name for name in metrics_of(run))  # a name that MLflow does not take
    assert len(metrics_of(run)["performance"]) >= 2
    check_events(run, final=True)
    client = client_of(store)
    found = check_store(client, run, "FINISHED")
    assert client.get_experiment(found.info.experiment_id).name == "first"

    result = done.result
    ours = {name: value for name, value in found.data.metrics.items() if "result/" in name}
    assert ours["result/performance"] == result["performance"]
    assert ours["result/params/total"] == result["params"]["total"]
    assert ours["result/tasks/sst/value"] == result["tasks"]["sst"]["value"]
    last = {e.step for e in events_of(run).Scalars("result/performance")}
    assert last == {metrics_of(run)["train_s"][-1][0]}

    settings = json.loads((run / "config.json").read_text())["settings"]
    assert found.data.params["trainer.eval_every"] == "2"
    assert found.data.params["seed"] == "3"
    assert len(found.data.params) == len(dict(flatten(settings)))
    tags = found.data.tags
    assert (tags["plan"], tags["seed"], tags["status"]) == ("S6-I6", "3", "finished")
    assert tags["regime"] == result["regime"]
    assert "sweep" not in tags


def test_hyperparameters_are_in_the_events(mtl_train):
    from tensorboard.plugins.hparams import api_pb2, metadata

    done = mtl_train(*QUICK, "tracker=tensorboard", "optimizer.lr=3e-4")
    assert done.code == 0, done.err
    assert not (done.cwd / "outputs" / "mlruns").exists()
    data = events_of(done.folder).SummaryMetadata
    begun = metadata.parse_session_start_info_plugin_data(
        data("_hparams_/session_start_info").plugin_data.content
    )
    assert begun.hparams["optimizer.lr"].number_value == 3e-4
    assert begun.hparams["run.plan"].string_value == "S6-I6"
    end = metadata.parse_session_end_info_plugin_data(
        data("_hparams_/session_end_info").plugin_data.content
    )
    assert end.status == api_pb2.STATUS_SUCCESS


@pytest.mark.slow
def test_first_runs_at_once_make_one_store(tmp_path):
    words = (*QUICK, "tracker=mlflow", "tracker.mlflow.folder=store")
    both = [start(tmp_path, *words, f"hydra.run.dir={name}") for name in ("one", "two")]
    for process in both:
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0 and "told no more" not in out, out
    client = client_of(tmp_path / "store")
    for name in ("one", "two"):
        check_store(client, tmp_path / name, "FINISHED")


class Killed(BaseException):
    """As sudden as a kill: nothing is closed."""


def test_a_run_killed_and_resumed_has_every_row_once(mtl_train, store, monkeypatch):
    """Killed three times: between checkpoint and trackers, within one, and after both."""
    from mtl_sharing.tracking.mlflow import MlflowRun
    from mtl_sharing.tracking.tensorboard import EventFile

    words = (*QUICK, BOTH, "trainer.max_steps=8", "trainer.eval_every=1", "hydra.run.dir=run")
    add, mlflow_add = EventFile.add, MlflowRun.add

    def dies(function, at):
        def call(self, step, figures):
            if step == at:
                raise Killed
            function(self, step, figures)

        return call

    def half(self, step, figures):
        if step == 4:  # the kill comes while the record is being written
            path = max((run / "tensorboard").iterdir(), key=lambda p: p.name)
            add(self, step, figures)
            path.write_bytes(path.read_bytes()[:-9])
            raise Killed
        add(self, step, figures)

    run = Path("run").absolute()
    # A kill ends no tracker.
    monkeypatch.setattr(Trackers, "end", lambda self, status: None)
    for target, method in ((EventFile, dies(add, 2)), (MlflowRun, dies(mlflow_add, 3)),
                           (EventFile, half)):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(target, "add", method)
            begin = ("resume=run",) if run.exists() else (*words, f"tracker.mlflow.folder={store}")
            with pytest.raises(Killed):
                mtl_train(*begin)
    monkeypatch.undo()
    os.chdir(run.parent)
    done = mtl_train("resume=run")
    assert done.code == 0, done.err
    assert [step for step, _ in metrics_of(run)["train_s"]] == list(range(1, 9))
    check_events(run, final=True)
    check_store(client_of(store), run, "FINISHED")
    assert len(list((run / "tensorboard").iterdir())) == 4


@pytest.mark.slow
def test_sigint_and_sigkill_leave_every_row_once(tmp_path, store):
    run = tmp_path / "run"
    process = start(tmp_path, *QUICK, BOTH, "trainer.max_steps=200", "trainer.eval_every=2",
                    f"tracker.mlflow.folder={store}", "hydra.run.dir=run")  # fmt: skip
    for number in (signal.SIGINT, signal.SIGKILL):
        wait_for(run / "mlflow.json", process)
        wait_for(run / "checkpoint" / "last.pt", process)
        process.send_signal(number)
        process.communicate(timeout=120)
        if number == signal.SIGINT:
            assert process.returncode == 130
            check_events(run, final=False)
            assert check_store(client_of(store), run, "KILLED").data.tags["status"] == "stopped"
        process = start(tmp_path, "resume=run")
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    check_events(run, final=True)
    check_store(client_of(store), run, "FINISHED")


def test_a_lost_run_of_the_store_is_made_anew(mtl_train, store):
    words = (*QUICK, "tracker=mlflow", f"tracker.mlflow.folder={store}", "trainer.eval_every=1")
    done = mtl_train(*words, "hydra.run.dir=run")
    run = done.cwd / "run"
    first = json.loads((run / "mlflow.json").read_text())["run_id"]
    client_of(store).delete_run(first)
    result = run / "result.json"
    result.write_text(result.read_text().replace('"finished"', '"running"'))
    assert mtl_train("resume=run").code == 0
    assert json.loads((run / "mlflow.json").read_text())["run_id"] != first
    check_store(client_of(store), run, "FINISHED")


class Broken:
    """Takes one row, and then no more."""

    def __init__(self):
        self.seen = []

    def rows(self):
        return 0

    def add(self, step, figures):
        if self.seen:
            raise OSError(28, "No space left on device")
        self.seen.append(step)

    def end(self, status):
        raise AssertionError("it is left out by now")


def test_a_tracker_that_fails_costs_one_warning(caplog):
    broken, whole = Broken(), Whole()
    trackers = Trackers({"broken": lambda: broken, "whole": lambda: whole})
    with caplog.at_level(logging.WARNING):
        trackers.begin([{"step": 1, "x": 0.5}, {"step": 2, "x": 0.25}])
        trackers.add({"step": 3, "x": 1, "phase": "tasks", "missing": None})
        trackers.conclude({"score": 2.0, "tasks": {"sst": {"value": 0.5, "metric": "accuracy"}}})
        trackers.end("finished")
    assert broken.seen == [1]
    assert [record.message for record in caplog.records] == [
        "broken is told no more of this run: [Errno 28] No space left on device"
    ]
    assert whole.told == [(2, {"x": 0.25}), (3, {"x": 1.0}),
                          (3, {"result/score": 2.0, "result/tasks/sst/value": 0.5})]  # fmt: skip
    assert whole.ended == ["finished"]


class Whole:
    """Had one row before; keeps the others."""

    def __init__(self):
        self.told, self.ended = [], []

    def rows(self):
        return 1

    def add(self, step, figures):
        self.told.append((step, dict(figures)))

    def end(self, status):
        self.ended.append(status)


def test_a_damaged_store_and_a_full_disk_cost_no_run(mtl_train, monkeypatch):
    from tensorboard.summary.writer.record_writer import RecordWriter

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordWriter, "write", full)
    Path("broken").mkdir()
    Path("broken/mlflow.db").write_text("this is no database " * 300)
    done = mtl_train(*QUICK, BOTH, "tracker.mlflow.folder=broken")
    assert done.code == 0, done.err
    said = (done.folder / "train.log").read_text()
    assert said.count("told no more of this run") == 2
    assert "tensorboard is told no more of this run: [Errno 28]" in said
    assert (done.folder / "metrics.csv").is_file()
    assert done.result["status"] == "finished"


def test_the_end_of_a_run_is_told(monkeypatch):
    ended = []
    monkeypatch.setattr(Trackers, "end", lambda self, status: ended.append(status))
    from mtl_sharing.errors import Pruned, Stopped

    for error in (Pruned(10, 0.5, "behind"), Stopped("run"), ValueError("x"), None):
        try:
            with tracking(TrackerConfig(), lambda: pytest.fail("nothing to track")):
                if error is not None:
                    raise error
        except (Pruned, Stopped, ValueError):
            pass
    assert ended == ["pruned", "stopped", "failed", "finished"]


def test_failed_and_pruned_runs_end_in_both(tmp_path, store, monkeypatch):
    from tensorboard.plugins.hparams import api_pb2, metadata

    from mtl_sharing.errors import Pruned
    from mtl_sharing.job.stages import Hooks

    monkeypatch.chdir(tmp_path)
    config = load_config(*QUICK, BOTH, "dry_run=false", f"tracker.mlflow.folder={store}",
                         "trainer.eval_every=2", "trainer.device=cpu")  # fmt: skip

    def behind(done, found):
        raise Pruned(50, found.performance, "behind")

    def breaks(done, found):
        raise UserError("x", "y", "z")

    for name, hook, word in (("pruned", behind, "KILLED"), ("failed", breaks, "FAILED")):
        run = tmp_path / name
        run.mkdir()
        with pytest.raises((Pruned, UserError)):
            run_job(config, run, Hooks(on_evaluation=hook, curves=False))
        check_events(run, final=False)
        assert check_store(client_of(store), run, word).data.tags["status"] == name
        content = events_of(run).SummaryMetadata("_hparams_/session_end_info").plugin_data.content
        status = metadata.parse_session_end_info_plugin_data(content).status
        assert status == (api_pb2.STATUS_UNKNOWN if name == "pruned" else api_pb2.STATUS_FAILURE)


def test_every_run_of_a_sweep_is_a_run_of_its_own(mtl_train, store):
    done = mtl_train("-m", *QUICK, BOTH, f"tracker.mlflow.folder={store}", "split=0,12",
                     "tracker.mlflow.experiment=several", "hydra.sweep.dir=splits")  # fmt: skip
    assert done.code == 0, done.err
    client = client_of(store)
    plans = []
    for number in ("0", "1"):
        run = done.cwd / "splits" / number
        check_events(run, final=True)
        found = check_store(client, run, "FINISHED")
        assert found.data.tags["sweep"] == "splits"
        plans.append(found.data.tags["plan"])
    assert plans == ["I12", "S12"]
    experiment = client.get_experiment_by_name("several").experiment_id
    assert len(client.search_runs([experiment])) == 2


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_is_named_before_anything_is_read(mtl_train, monkeypatch, name):
    from importlib.util import find_spec

    monkeypatch.setattr("importlib.util.find_spec", lambda n: None if n == name else find_spec(n))
    done = mtl_train(*QUICK, f"tracker={name}", "hydra.run.dir=run")
    assert done.code == 2
    assert f"pip install 'mtl-sharing[{name}]'" in done.err
    assert f"tracker: found {name}" in done.err
    assert not (done.cwd / "run" / "model.safetensors").exists()


def test_bad_settings_are_refused(mtl_train):
    done = mtl_train(*QUICK, "tracker=wandb")
    assert done.code == 2 and "mlflow, none, tensorboard" in done.err
    done = mtl_train(*QUICK, "tracker=mlflow", "tracker.mlflow.foldr=x")
    assert done.code == 2 and "nearest: folder" in done.err
    config = TrackerConfig()
    config.mlflow.enabled, config.mlflow.experiment = True, " "
    with pytest.raises(UserError, match=r"tracker\.mlflow\.experiment"):
        check_trackers(config)
    config.mlflow = replace(config.mlflow, experiment="a", folder="sqlite:///mlflow.db")
    with pytest.raises(UserError, match="a folder of this machine, without a scheme"):
        check_trackers(config)


def test_a_run_without_trackers_loads_neither(tmp_path):
    words = """
import sys
sys.argv = ["mtl-train", *sys.argv[1:]]
from mtl_sharing.cli.train import main
main()
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded & {"tensorboard", "mlflow"}, loaded
"""
    command = [sys.executable, "-c", words, *QUICK, "trainer.max_steps=1", "hydra.run.dir=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_names_and_figures():
    config = flattened(asdict(TrackerConfig()), ".", "tracker")
    assert config["tracker.mlflow.folder"] == "outputs/mlruns"
    assert flattened({"a": {}, "b": [1]}, "/") == {"a": {}, "b": [1]}
    assert figures({"a": 1, "b": True, "c": None, "d": "x", "e": 0.5}) == {"a": 1.0, "e": 0.5}


def test_a_tracker_makes_no_other_training():
    """So a sweep takes trials with and without one for equal."""
    from mtl_sharing.job.spec import resolve_spec
    from mtl_sharing.sweep.space.composer import trial_identity

    plain, told = (
        resolve_spec(load_config(*QUICK, f"tracker.tensorboard.enabled={enabled}"))
        for enabled in ("false", "true")
    )
    assert told.config.tracker.tensorboard.enabled
    assert trial_identity(plain) == trial_identity(told)


def test_a_run_is_loaded_where_no_tracker_is(mtl_train, monkeypatch):
    from importlib.util import find_spec

    from mtl_sharing.predict.loading import load_run

    done = mtl_train(*QUICK, "tracker=tensorboard")
    hidden = ("tensorboard", "mlflow")
    monkeypatch.setattr("importlib.util.find_spec", lambda n: None if n in hidden else find_spec(n))
    assert load_run(done.folder, device="cpu").tasks == ("sst", "quora", "sts")
