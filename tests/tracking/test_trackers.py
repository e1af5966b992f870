"""Trackers hold what metrics.csv holds, each row once, and never cost a run."""

import csv
import itertools
import json
import logging
import re
import signal
import socket
import sys
from copy import deepcopy
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from mtl_sharing.errors import Pruned, Stopped, UserError
from mtl_sharing.job.description import final_metrics
from mtl_sharing.job.run import Hooks, run_job
from mtl_sharing.run_folder.manifest import replace_listed_json
from mtl_sharing.run_folder.results import metrics_text
from mtl_sharing.tracking.settings import RunDescription, TrackerConfig
from mtl_sharing.tracking.trackers import Trackers, check_trackers, numeric, tracking
from mtl_sharing.utils.nested import flatten
from support import QUICK, load_config, start, wait_for

ROUNDED = "precision|recall|f1|by_class"
BOTH = "tracker=[tensorboard,mlflow]"
SMALL = (*QUICK, "encoder.layers=2", "split=1", "suite.max_dev_rows=10", "trainer.max_steps=2")
pytest.importorskip("tensorboard")
pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """One store for all tests, since making one takes seconds."""
    return tmp_path_factory.mktemp("store")


def client_of(folder: Path):
    """The package's own reader."""
    from mtl_sharing.tracking.mlflow import open_store

    return open_store(folder)


def metrics_of(run: Path) -> dict[str, list[tuple[int, float]]]:
    """metrics.csv by column: steps and values."""
    metrics: dict[str, list[tuple[int, float]]] = {}
    with (run / "metrics.csv").open() as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if name not in ("step", "phase") and value:
                    metrics.setdefault(name, []).append((int(row["step"]), float(value)))
    return metrics


def events_of(run: Path):
    """TensorBoard's reader of all events of a run, none left out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    return events.Reload()


def session_of(run: Path, part: str):
    """How TensorBoard's view of hyperparameters reads the ``start`` or ``end`` of a run."""
    from tensorboard.plugins.hparams import metadata

    content = events_of(run).SummaryMetadata(f"_hparams_/session_{part}_info").plugin_data.content
    return getattr(metadata, f"parse_session_{part}_info_plugin_data")(content)


def check_events(run: Path, final: bool) -> None:
    events, expected = events_of(run), metrics_of(run)
    tags = events.Tags()["scalars"]
    assert {tag for tag in tags if not tag.startswith("result/")} == set(expected)
    assert final == any(tag.startswith("result/") for tag in tags)
    for name, rows in expected.items():
        values = [(event.step, event.value) for event in events.Scalars(name)]
        assert values == [(step, pytest.approx(value, rel=1e-6)) for step, value in rows], name


def check_store(client, run: Path, status: str):
    from mlflow.entities import RunStatus

    run_id = json.loads((run / "mlflow.json").read_text())["run_id"]
    stored = client.get_run(run_id)
    assert stored.info.run_name == run.name
    assert stored.info.status == status
    assert RunStatus.from_string(status)
    names = {name for name in stored.data.metrics if not name.startswith("result/")}
    expected = {name.replace("+", "_"): rows for name, rows in metrics_of(run).items()}
    assert names == set(expected)
    for name, rows in expected.items():
        history = client.get_metric_history(run_id, name)
        assert sorted((m.step, m.value) for m in history) == sorted(rows), name
    return stored


@pytest.fixture(scope="module")
def tracked(tmp_path_factory, store) -> Path:
    """A whole run with both trackers, which asks no network meanwhile."""

    def refuse(self, address):
        raise AssertionError(f"a connection to {address}")

    config = load_config(*SMALL, BOTH, "trainer.max_steps=4", "trainer.eval_every=2", "seed=3",
                         "loss.cosines=network", "phases=heads_first", "optimizer.lr=3e-4",
                         f"tracker.mlflow.folder={store}", "tracker.mlflow.experiment=first",
                         "trainer.device=cpu")  # fmt: skip
    run = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        run_job(config, run, Hooks(curves=False))
    return run


def test_both_hold_what_the_run_holds(tracked, store):
    assert any("+" in name for name in metrics_of(tracked))  # a name that MLflow does not take
    assert len(metrics_of(tracked)["performance"]) >= 2
    check_events(tracked, final=True)
    client = client_of(store)
    stored = check_store(client, tracked, "FINISHED")
    assert client.get_experiment(stored.info.experiment_id).name == "first"

    result = json.loads((tracked / "result.json").read_text())
    final = {name: value for name, value in stored.data.metrics.items() if "result/" in name}
    assert final["result/performance"] == result["performance"]
    assert final["result/params/total"] == result["params"]["total"]
    assert final["result/tasks/sst/value"] == result["tasks"]["sst"]["value"]
    for name in ("at_floor", "untrained"):
        assert final[f"result/{name}"] == len(result[name])
    assert "result/tasks/sst/f1" in final and "result/tasks/sts/pearson" in final
    rounded = [n for n in final if n.startswith("result/tasks/sts/") and re.search(ROUNDED, n)]
    assert rounded == []
    last = {e.step for e in events_of(tracked).Scalars("result/performance")}
    assert last == {metrics_of(tracked)["train_s"][-1][0]}

    settings = json.loads((tracked / "config.json").read_text())["settings"]
    assert stored.data.params["trainer.eval_every"] == "2"
    assert stored.data.params["seed"] == "3"
    assert len(stored.data.params) == len(dict(flatten(settings)))
    tags = stored.data.tags
    assert (tags["plan"], tags["seed"], tags["status"]) == ("S1-I1", "3", "finished")
    assert tags["regime"] == result["regime"]
    assert "sweep" not in tags


def test_hyperparameters_are_in_the_events(tracked):
    from tensorboard.plugins.hparams import api_pb2

    begun = session_of(tracked, "start")
    assert begun.hparams["optimizer.lr"].number_value == 3e-4
    assert begun.hparams["run.plan"].string_value == "S1-I1"
    assert session_of(tracked, "end").status == api_pb2.STATUS_SUCCESS


def test_a_run_is_loaded_where_no_tracker_is(tracked, monkeypatch):
    from mtl_sharing.predict.loading import load_run

    hidden = ("tensorboard", "mlflow")
    monkeypatch.setattr("importlib.util.find_spec", lambda n: None if n in hidden else find_spec(n))
    assert load_run(tracked, device="cpu").tasks == ("sst", "quora", "sts")


@pytest.mark.slow
def test_first_runs_at_once_make_one_store(tmp_path):
    settings = (*QUICK, "tracker=mlflow", "tracker.mlflow.folder=store")
    both = [start(tmp_path, *settings, f"hydra.run.dir={name}") for name in ("one", "two")]
    for process in both:
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0 and "is disabled" not in out, out
    client = client_of(tmp_path / "store")
    for name in ("one", "two"):
        check_store(client, tmp_path / name, "FINISHED")


ROWS = [
    {"step": 3 * n, "train_s": n / 8, "phase": "main", "performance": 0.5 + n / 16, "x+y": n / 4}
    for n in range(1, 9)
]


class Job:
    """Sends ROWS to both trackers as a run does, whose checkpoint holds the rows sent so far."""

    def __init__(self, folder: Path, store: Path) -> None:
        folder.mkdir()
        self.run = RunDescription(folder, {"lr": 0.5, "steps": None}, {"seed": "3"})
        self.config = TrackerConfig()
        self.config.tensorboard.enabled = self.config.mlflow.enabled = True
        self.config.mlflow.folder = str(store)

    def send(self, first: int, last: int, error: BaseException | None = None) -> None:
        """Rows from ``first`` to ``last``, after a resume from the rows before."""
        with tracking(self.config, lambda: self.run) as trackers:
            trackers.begin(ROWS[:first])
            for number in range(first, last):
                (self.run.folder / "metrics.csv").write_text(metrics_text(ROWS[: number + 1]))
                trackers.add(ROWS[number])
            if error is not None:
                raise error
            if last == len(ROWS):
                trackers.conclude({"performance": 1.0})


@pytest.fixture
def job(tmp_path, store, monkeypatch):
    # Names of event files have the second; a real start is never in the second of another.
    clock = itertools.count(1_700_000_000)
    clock_module = "tensorboard.summary.writer.event_file_writer.time"
    monkeypatch.setattr(clock_module, SimpleNamespace(time=lambda: next(clock)))
    return Job(tmp_path / "run", store)


class Killed(BaseException):
    """As sudden as a kill: nothing is closed."""


def test_a_run_killed_and_resumed_has_every_row_once(job, store, monkeypatch):
    """Killed before, within and after a row of TensorBoard's, and between the two trackers."""
    from mtl_sharing.tracking import tensorboard
    from mtl_sharing.tracking.mlflow import MlflowRun
    from mtl_sharing.tracking.tensorboard import TensorboardRun

    add = TensorboardRun.add
    folder = job.run.folder

    def before(self, step, metrics):
        raise Killed

    def within(self, step, metrics):
        """Some of its values are there, the last of them cut."""
        add(self, step, {"performance": 0.0, "x+y": 0.0})
        path = max((folder / "tensorboard").glob("events*"))
        path.write_bytes(path.read_bytes()[:-9])
        raise Killed

    def after(folder, name, record):
        raise Killed

    kills = [(TensorboardRun, "add", before), (MlflowRun, "add", before),
             (TensorboardRun, "add", within),
             (tensorboard, "replace_listed_json", after)]  # fmt: skip
    # A kill ends no tracker.
    monkeypatch.setattr(Trackers, "end", lambda self, status: None)
    job.send(0, 1)
    for number, (target, name, dies) in enumerate(kills, start=1):
        # The resumed run first sends the row that the killed one could not.
        job.send(number, number)
        with monkeypatch.context() as patch:
            patch.setattr(target, name, dies)
            with pytest.raises(Killed):
                job.send(number, number + 1)
    monkeypatch.undo()
    job.send(5, 8)
    assert [step for step, _ in metrics_of(folder)["train_s"]] == [3 * n for n in range(1, 9)]
    check_events(folder, final=True)
    check_store(client_of(store), folder, "FINISHED")
    assert json.loads((folder / "tensorboard" / "rows.json").read_text()) == {"rows": 8, "step": 24}


def test_events_of_an_earlier_version_are_replaced(job):
    """They have no rows.json, so that all rows are written anew and the old ones hidden."""
    with pytest.raises(Stopped):
        job.send(0, 3, Stopped("run"))
    (job.run.folder / "tensorboard" / "rows.json").unlink()
    job.send(3, 8)
    check_events(job.run.folder, final=True)


def test_an_older_run_without_a_manifest_keeps_its_trackers(job, store, caplog):
    with pytest.raises(Stopped):
        job.send(0, 3, Stopped("run"))
    (job.run.folder / "manifest.json").unlink()
    # As it goes on, its files are listed before any tracker reads its own.
    replace_listed_json(job.run.folder, "result.json", {"status": "running"})
    with caplog.at_level(logging.WARNING):
        job.send(3, 8)
    assert "is disabled" not in caplog.text
    check_events(job.run.folder, final=True)
    check_store(client_of(store), job.run.folder, "FINISHED")
    listed = json.loads((job.run.folder / "manifest.json").read_text())["files"]
    assert {"tensorboard/rows.json", "mlflow.json"} <= {*listed}


@pytest.mark.parametrize(
    ("error", "status", "stored"),
    [
        (Pruned(50, 0.5, "behind"), "pruned", "KILLED"),
        (UserError("x", "y", "z"), "failed", "FAILED"),
        (Stopped("run"), "stopped", "KILLED"),
    ],
)
def test_the_end_of_a_run_is_in_both(job, store, error, status, stored):
    from tensorboard.plugins.hparams import api_pb2

    with pytest.raises(type(error)):
        job.send(0, 2, error)
    check_events(job.run.folder, final=False)
    assert check_store(client_of(store), job.run.folder, stored).data.tags["status"] == status
    if status == "stopped":  # its session stays open
        with pytest.raises(KeyError):
            session_of(job.run.folder, "end")
        return
    ends = {"pruned": api_pb2.STATUS_UNKNOWN, "failed": api_pb2.STATUS_FAILURE}
    assert session_of(job.run.folder, "end").status == ends[status]


def test_the_block_s_end_is_the_status(monkeypatch):
    ended = []
    monkeypatch.setattr(Trackers, "end", lambda self, status: ended.append(status))
    for error in (Pruned(10, 0.5, "behind"), Stopped("run"), ValueError("x"), None):
        try:
            with tracking(TrackerConfig(), lambda: pytest.fail("nothing to track")):
                if error is not None:
                    raise error
        except (Pruned, Stopped, ValueError):
            pass
    assert ended == ["pruned", "stopped", "failed", "finished"]


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
        process = start(tmp_path, "resume=run", f"tracker.mlflow.folder={store}")
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    check_events(run, final=True)
    check_store(client_of(store), run, "FINISHED")


def test_a_resumed_run_of_a_lost_store_is_made_anew(mtl_train, store):
    """Its rows go to a new run of the store, and are not repeated in the events."""
    settings = (*SMALL, BOTH, f"tracker.mlflow.folder={store}", "trainer.eval_every=1")
    finished = mtl_train(*settings, "hydra.run.dir=run")
    assert finished.code == 0, finished.err
    run = finished.cwd / "run"
    first = json.loads((run / "mlflow.json").read_text())["run_id"]
    client_of(store).delete_run(first)
    result = run / "result.json"
    result.write_text(result.read_text().replace('"finished"', '"running"'))
    assert mtl_train("resume=run", f"tracker.mlflow.folder={store}").code == 0
    assert json.loads((run / "mlflow.json").read_text())["run_id"] != first
    check_store(client_of(store), run, "FINISHED")
    check_events(run, final=True)


class Broken:
    """Takes one row, and then no more."""

    def __init__(self):
        self.seen = []

    def rows(self):
        return 0

    def add(self, step, metrics):
        if self.seen:
            raise OSError(28, "No space left on device")
        self.seen.append(step)

    def end(self, status):
        raise AssertionError("it is disabled by now")


class Whole:
    """Had one row before; keeps the others."""

    def __init__(self):
        self.received, self.ended = [], []

    def rows(self):
        return 1

    def add(self, step, metrics):
        self.received.append((step, dict(metrics)))

    def end(self, status):
        self.ended.append(status)


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
        "broken is disabled for the rest of this run: [Errno 28] No space left on device"
    ]
    final = {"result/score": 2.0, "result/tasks/sst/value": 0.5}
    assert whole.received == [(2, {"x": 0.25}), (3, {"x": 1.0}), (3, final)]
    assert whole.ended == ["finished"]


# The writer's own thread fails, too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_damaged_store_and_a_full_disk_cost_no_run(mtl_train, monkeypatch):
    from tensorboard.summary.writer.record_writer import RecordWriter

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordWriter, "write", full)
    Path("broken").mkdir()
    Path("broken/mlflow.db").write_text("this is no database " * 300)
    finished = mtl_train(*SMALL, BOTH, "tracker.mlflow.folder=broken")
    assert finished.code == 0, finished.err
    log = (finished.folder / "train.log").read_text()
    assert log.count("is disabled for the rest of this run") == 2
    assert "tensorboard is disabled for the rest of this run: [Errno 28]" in log
    assert (finished.folder / "metrics.csv").is_file()
    assert finished.result["status"] == "finished"


def test_every_run_of_a_sweep_is_a_run_of_its_own(mtl_train, store):
    finished = mtl_train("-m", *SMALL, BOTH, f"tracker.mlflow.folder={store}", "split=0,2",
                         "tracker.mlflow.experiment=several", "hydra.sweep.dir=splits")  # fmt: skip
    assert finished.code == 0, finished.err
    client = client_of(store)
    plans = []
    for number in ("0", "1"):
        run = finished.cwd / "splits" / number
        check_events(run, final=True)
        stored = check_store(client, run, "FINISHED")
        assert stored.data.tags["sweep"] == "splits"
        plans.append(stored.data.tags["plan"])
    assert plans == ["I2", "S2"]
    experiment = client.get_experiment_by_name("several").experiment_id
    assert len(client.search_runs([experiment])) == 2


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_is_named_before_anything_is_read(mtl_train, monkeypatch, name):
    monkeypatch.setattr("importlib.util.find_spec", lambda n: None if n == name else find_spec(n))
    finished = mtl_train(*SMALL, f"tracker={name}", "hydra.run.dir=run")
    assert finished.code == 2
    assert f"pip install 'mtl-sharing[{name}]'" in finished.err
    assert f"tracker: found {name}" in finished.err
    assert not (finished.cwd / "run" / "model.safetensors").exists()


def test_bad_settings_are_refused(mtl_train):
    finished = mtl_train(*SMALL, "tracker=wandb")
    assert finished.code == 2 and "mlflow, none, tensorboard" in finished.err
    finished = mtl_train(*SMALL, "tracker=mlflow", "tracker.mlflow.foldr=x")
    assert finished.code == 2 and "nearest: folder" in finished.err
    config = TrackerConfig()
    config.mlflow.enabled, config.mlflow.experiment = True, " "
    with pytest.raises(UserError, match=r"tracker\.mlflow\.experiment"):
        check_trackers(config)
    config.mlflow = replace(config.mlflow, experiment="a", folder="sqlite:///mlflow.db")
    with pytest.raises(UserError, match="a folder of this machine, without a scheme"):
        check_trackers(config)


def test_a_run_without_trackers_imports_neither(mtl_train, monkeypatch):
    trackers = [f"mtl_sharing.tracking.{name}" for name in ("tensorboard", "mlflow")]
    for name in ("tensorboard", "torch.utils.tensorboard", "mlflow", *trackers):
        monkeypatch.setitem(sys.modules, name, None)  # an import raises
    finished = mtl_train(*SMALL)
    assert finished.code == 0, finished.err
    assert "is disabled" not in finished.out + finished.err


def test_only_numbers_are_metrics():
    assert numeric({"a": 1, "b": True, "c": None, "d": "x", "e": 0.5}) == {"a": 1.0, "e": 0.5}
    settings = dict(flatten({"tracker": asdict(TrackerConfig())}))
    assert settings["tracker.mlflow.folder"] == "outputs/mlruns"


def test_a_tracker_makes_no_other_training():
    """So a sweep takes trials with and without one for equal."""
    from mtl_sharing.job.spec import resolve_spec
    from mtl_sharing.sweep.space.composer import trial_identity

    config = load_config(*SMALL)
    tracked = deepcopy(config)
    tracked.tracker.tensorboard.enabled = True
    assert trial_identity(resolve_spec(config)) == trial_identity(resolve_spec(tracked))


@pytest.mark.parametrize("asked", [False, True])
def test_classes_of_a_regression_are_recorded_where_they_are_asked_for(hybrid_run, asked):
    scored_by = hybrid_run.result["scored_by"] | {"rounded": asked}
    changes = {"scored_by": scored_by, "at_floor": ["sst", "sts"], "untrained": ["sst"]}
    found = final_metrics(hybrid_run.result | changes)
    names = {name for name, _ in flatten(found["tasks"]["sts"])}
    assert {"pearson", "value", "floor", "accuracy", "mcc"} <= names
    assert any(re.search(ROUNDED, name) for name in names) == asked
    assert found["tasks"]["sst"] == hybrid_run.result["tasks"]["sst"]
    assert (found["at_floor"], found["untrained"]) == (2, 1)
