"""Baselines of processes that are killed, that want the same, and of folders that are damaged."""

import json
import signal
import time
from itertools import count

import pytest

from baseline_runs import SEPARATE, Run
from mtl_sharing.training.learner import Learner
from support import QUICK, start

# Trains for a second or two, so that it can be interrupted.
LONG = (*QUICK, "encoder.layers=2", "encoder.dropout=0.1", "trainer.max_steps=60",
        "trainer.eval_every=5", "sampler=proportional", "cache.folder=cache",
        "trainer.threads=1", SEPARATE)  # fmt: skip
TRAINING, ANEW = "training separate models once", "separate models anew"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Run:
    cwd = tmp_path_factory.mktemp("whole")
    return Run(cwd / "run", finish(start(cwd, *LONG, "hydra.run.dir=run")))


def finish(process) -> str:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    return out


def in_training(cwd, *words):
    """A process whose baseline has begun to train."""
    process = start(cwd, *LONG, *words)
    end = time.monotonic() + 120
    while not (found := list(cwd.glob("cache/baselines/.work-*/run/checkpoint/last.pt"))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    return process, found[0].parents[1]


def without_place(run: Run):
    """What a run has found, less the folder that its baseline is in."""
    weights, rows, figures = run.found
    figures = figures | {"reference": figures["reference"] | {"folder": None}}
    return weights, rows, figures


@pytest.mark.slow
def test_another_run_goes_on_with_a_killed_training(tmp_path, uninterrupted):
    process, _ = in_training(tmp_path, "hydra.run.dir=run")
    process.kill()
    process.communicate()
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "running"
    other = finish(start(tmp_path, *LONG, "hydra.run.dir=other"))
    assert TRAINING in other and "going on after step" in other
    assert without_place(Run(tmp_path / "other")) == without_place(uninterrupted)
    # And the killed run itself, which now finds it.
    resumed = finish(start(tmp_path, "resume=run"))
    assert TRAINING not in resumed and "separate models from the cache" in resumed
    assert without_place(Run(tmp_path / "run")) == without_place(uninterrupted)
    names = {path.name.partition("-")[0] for path in (tmp_path / "cache" / "baselines").iterdir()}
    assert names == {"separate"}


@pytest.fixture
def disturb(monkeypatch):
    """Has something happen before an update, counted over all trainings of this process."""

    def at(number, what):
        counts, update = count(1), Learner.update

        def disturbed(self, step, total):
            if next(counts) == number:
                what()
            return update(self, step, total)

        monkeypatch.setattr(Learner, "update", disturbed)

    return at


class Killed(BaseException):
    """Stands for a kill: nothing of the project's catches it."""


def kill():
    raise Killed


def test_ctrl_c_in_the_baseline_names_the_run(mtl_train, tmp_path, disturb, uninterrupted):
    disturb(33, lambda: signal.raise_signal(signal.SIGINT))
    done = mtl_train(*LONG, "hydra.run.dir=run")
    assert done.code == 130
    assert f"go on with: mtl-train resume={tmp_path / 'run'}\n" in done.err
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "stopped"
    again = mtl_train("resume=run")
    assert again.code == 0 and "going on after step 33 of 60" in again.out
    assert without_place(Run(tmp_path / "run")) == without_place(uninterrupted)


def test_a_run_lost_after_its_baseline_ends_the_same(mtl_train, tmp_path, disturb, uninterrupted):
    disturb(60 + 33, kill)
    with pytest.raises(Killed):
        mtl_train(*LONG, "hydra.run.dir=run")
    again = mtl_train("resume=run")
    assert again.code == 0 and TRAINING not in again.out
    assert "going on after step 30 of 60" in again.out
    assert without_place(Run(tmp_path / "run")) == without_place(uninterrupted)


def test_what_was_left_and_cannot_be_read_is_trained_anew(
    mtl_train, tmp_path, disturb, uninterrupted
):
    disturb(33, kill)
    with pytest.raises(Killed):
        mtl_train(*LONG, "hydra.run.dir=run")
    (left,) = tmp_path.glob("cache/baselines/.work-*/run/checkpoint/last.pt")
    left.write_bytes(b"no checkpoint")
    other = mtl_train(*LONG, "hydra.run.dir=other")
    assert other.code == 0 and (other.out + other.err).count(ANEW) == 1
    assert without_place(Run(tmp_path / "other")) == without_place(uninterrupted)


def test_of_two_that_want_it_at_once_one_trains(tmp_path, uninterrupted):
    first, _ = in_training(tmp_path, "hydra.run.dir=run")
    first.send_signal(signal.SIGSTOP)  # until the other waits
    second = start(tmp_path, *LONG, "hydra.run.dir=other", "sharing=shared")
    try:
        lines = iter(second.stdout.readline, "")
        assert any("waiting for another process that fills" in line for line in lines)
    finally:
        first.send_signal(signal.SIGCONT)
    said = [finish(first), finish(second)]
    assert TRAINING in said[0] and TRAINING not in said[1]
    assert "separate models from the cache" in said[1]
    found = [Run(tmp_path / name).result["reference"] for name in ("run", "other")]
    assert found[0] == found[1]
    assert without_place(Run(tmp_path / "run")) == without_place(uninterrupted)


def test_a_damaged_record_is_made_again_with_one_warning(train, trained, tmp_path):
    wanted = train(SEPARATE).found
    (path,) = tmp_path.glob("cache/baselines/separate-*/entry.json")
    whole = path.read_bytes()
    for spoilt in (whole[:-40], whole.replace(b"0.", b"1.", 1)):
        path.write_bytes(spoilt)
        trained.clear()
        again = train(SEPARATE)
        assert again.out.count("a damaged cache entry") == 1
        assert trained == ["I2", "S1-I1"]
        assert again.found == wanted
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
    assert done.out.count("not cached, for want of room") == 1
    assert done.result["reference"]["folder"] is None
    assert not any((tmp_path / "cache" / "baselines").iterdir())


def test_separate_models_that_do_not_train_end_the_run(mtl_train, tmp_path):
    words = ("optimizer.lr=1e38", "optimizer.clip=null", f"cache.folder={tmp_path / 'cache'}")
    done = mtl_train(*QUICK, "encoder.layers=2", SEPARATE, *words)
    assert done.code == 2
    assert "in training separate models: found nan" in done.err
    assert done.result["status"] == "failed"
    assert not list(tmp_path.glob("cache/baselines/separate-*"))
