"""Baselines of runs that are killed, that want the same, and of folders that are damaged."""

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import pytest

from baseline_runs import SEPARATE, Run
from mtl_sharing.cache.folders import making
from mtl_sharing.training.learner import Learner
from support import QUICK, start

LONG = (*QUICK, "encoder.layers=2", "encoder.dropout=0.1", "trainer.max_steps=24",
        "trainer.eval_every=5", "sampler=proportional", "cache.folder=cache",
        "trainer.threads=1", SEPARATE)  # fmt: skip
TRAINING, ANEW = "training separate models once", "separate models anew"


@pytest.fixture(scope="module")
def memory() -> dict:
    return {}


@pytest.fixture
def uninterrupted(mtl_train, tmp_path, memory):
    """What an uninterrupted run finds; trained once for all tests, with a cache of its own."""
    if not memory:
        done = mtl_train(*LONG, "hydra.run.dir=whole", "cache.folder=cache-of-whole")
        assert done.code == 0, done.err
        memory["found"] = without_place(Run(tmp_path / "whole"))
    return memory["found"]


def without_place(run: Run):
    """What a run has found, less the folder that its baseline is in."""
    weights, rows, figures = run.found
    figures = figures | {"reference": figures["reference"] | {"folder": None}}
    return weights, rows, figures


def finish(process) -> str:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    return out


def in_training(cwd, *words):
    """A process whose baseline has begun to train."""
    process = start(cwd, *LONG, *words)
    end = time.monotonic() + 120
    while not list(cwd.glob("cache/baselines/separate-*/checkpoint/last.pt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    return process


@pytest.mark.slow
def test_another_process_goes_on_with_a_killed_training(tmp_path):
    long = ("trainer.max_steps=60", "cache.folder=cache")  # so that it can be killed meanwhile
    process = in_training(tmp_path, *long, "hydra.run.dir=run")
    process.kill()
    process.communicate()
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "running"
    whole = finish(start(tmp_path, *LONG, *long, "cache.folder=new", "hydra.run.dir=whole"))
    other = finish(start(tmp_path, *LONG, *long, "hydra.run.dir=other"))
    assert TRAINING in whole and TRAINING in other and "going on after step" in other
    expected = without_place(Run(tmp_path / "whole"))
    assert without_place(Run(tmp_path / "other")) == expected
    # And the killed run itself, which now finds it.
    resumed = finish(start(tmp_path, "resume=run"))
    assert TRAINING not in resumed and "separate models from the cache" in resumed
    assert without_place(Run(tmp_path / "run")) == expected


@pytest.mark.slow
def test_of_two_processes_that_want_it_at_once_one_trains(tmp_path):
    first = in_training(tmp_path, "trainer.max_steps=60", "hydra.run.dir=run")
    first.send_signal(signal.SIGSTOP)  # until the other waits
    long = ("trainer.max_steps=60", "hydra.run.dir=other", "sharing=shared")
    second = start(tmp_path, *LONG, *long)
    try:
        lines = iter(second.stdout.readline, "")
        assert any("waiting for another process that makes separate-" in line for line in lines)
    finally:
        first.send_signal(signal.SIGCONT)
    said = [finish(first), finish(second)]
    assert TRAINING in said[0] and TRAINING not in said[1]
    assert "separate models from the cache" in said[1]
    found = [Run(tmp_path / name).result["reference"] for name in ("run", "other")]
    assert found[0] == found[1]


def test_a_run_waits_for_another_that_trains_the_same(train, trained, tmp_path, monkeypatch):
    train(SEPARATE)
    (folder,) = tmp_path.glob("cache/baselines/separate-*")
    holds, waits = Event(), Event()

    def other():
        """Stands for a process that finishes the baseline once this one waits."""
        with making(folder):
            folder.rename(tmp_path / "finished")
            holds.set()
            assert waits.wait(60)
            (tmp_path / "finished").rename(folder)

    monkeypatch.setattr("mtl_sharing.cache.folders.log.info", lambda *message: waits.set())
    trained.clear()
    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(other)
        assert holds.wait(60)
        run = train(SEPARATE)
        done.result()
    assert waits.is_set() and trained == ["S1-I1"]
    assert "separate models from the cache" in run.out


@pytest.fixture
def disturb(monkeypatch):
    """Has something happen before an update, counted over all trainings of this process."""

    def at(number, what):
        counts, update = count(1), Learner.update

        def disturbed(self, step, total, *ended):
            if next(counts) == number:
                what()
            return update(self, step, total, *ended)

        monkeypatch.setattr(Learner, "update", disturbed)

    return at


class Killed(BaseException):
    """Stands for a kill: nothing of the project's catches it."""


def kill():
    raise Killed


@pytest.mark.slow
def test_ctrl_c_in_the_baseline_names_the_run(mtl_train, tmp_path, disturb, uninterrupted):
    disturb(13, lambda: signal.raise_signal(signal.SIGINT))
    done = mtl_train(*LONG, "hydra.run.dir=run")
    assert done.code == 130
    assert f"go on with: mtl-train resume={tmp_path / 'run'}\n" in done.err
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "stopped"
    again = mtl_train("resume=run")
    assert again.code == 0 and "going on after step 13 of 24" in again.err
    assert without_place(Run(tmp_path / "run")) == uninterrupted


def test_a_run_lost_after_its_baseline_ends_the_same(mtl_train, tmp_path, disturb, uninterrupted):
    disturb(24 + 13, kill)
    with pytest.raises(Killed):
        mtl_train(*LONG, "hydra.run.dir=run")
    again = mtl_train("resume=run")
    assert again.code == 0 and TRAINING not in again.err
    assert "going on after step 10 of 24" in again.err
    assert without_place(Run(tmp_path / "run")) == uninterrupted


@pytest.mark.parametrize(
    ("damaged", "step"),
    [
        (("last",), 5),
        pytest.param((), 10, marks=pytest.mark.slow),
        pytest.param(("last", "previous"), None, marks=pytest.mark.slow),
    ],
)
def test_another_run_goes_on_with_what_a_kill_left_unless_it_is_damaged(
    mtl_train, tmp_path, disturb, uninterrupted, damaged, step
):
    disturb(13, kill)
    with pytest.raises(Killed):
        mtl_train(*LONG, "hydra.run.dir=run")
    (left,) = tmp_path.glob("cache/baselines/separate-*/checkpoint")
    for name in damaged:
        (left / f"{name}.pt").write_bytes(b"no checkpoint")
    other = mtl_train(*LONG, "hydra.run.dir=other")
    assert other.code == 0 and (other.out + other.err).count(ANEW) == (step is None)
    assert step is None or f"going on after step {step} of 24" in other.err
    assert without_place(Run(tmp_path / "other")) == uninterrupted


def test_a_damaged_result_is_made_again_with_one_warning(train, trained, tmp_path):
    expected = train(SEPARATE).found
    (path,) = tmp_path.glob("cache/baselines/separate-*/result.json")
    path.write_bytes(path.read_bytes().replace(b"0.", b"1.", 1))
    trained.clear()
    again = train(SEPARATE)
    assert again.out.count("removing a damaged baseline") == 1
    assert trained == ["I2", "S1-I1"]
    assert again.found == expected
    trained.clear()
    assert "a damaged" not in train(SEPARATE).out and trained == ["S1-I1"]


def test_a_folder_that_cannot_be_written_costs_a_warning(train, trained, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    done = train(SEPARATE, "score.untuned=true", "cache.tokens=false")
    assert trained == ["I2", "S2", "S1-I1"]
    assert done.out.count("going on without the cache") == 2
    assert done.result["reference"]["folder"] is None and done.result["kept"] is not None
    assert not (done.folder / "baselines").exists()


def test_a_cache_without_room_costs_a_warning(train, trained, tmp_path):
    done = train(SEPARATE, "cache.max_gb=1e-6", "cache.tokens=false")
    assert trained == ["I2", "S1-I1"]
    assert done.out.count("not cached, no room") == 1
    assert done.result["reference"]["folder"] is None
    assert not any((tmp_path / "cache" / "baselines").iterdir())


def test_separate_models_that_do_not_train_end_the_run(mtl_train, tmp_path):
    words = ("optimizer.lr=1e38", "optimizer.clip=null", f"cache.folder={tmp_path / 'cache'}")
    done = mtl_train(*QUICK, "encoder.layers=2", SEPARATE, *words)
    assert done.code == 2
    assert "in training separate models: found nan" in done.err
    assert done.result["status"] == "failed"
    assert not list(tmp_path.glob("cache/baselines/separate-*"))
