"""A sweep on several workers of this machine, from the command line."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

from cluster.services import processes_with, wait_until
from mtl_sharing.utils.device import usable_cores
from support import QUICK, hear_interrupts

COMMAND = Path(sys.executable).with_name("mtl-train")
WORDS = ("-m", "+sweep=split_points", "+cluster=local", "hydra.sweeper.n_jobs=2", *QUICK,
         "encoder.layers=2", "score.objective=performance", "hydra.sweeper.study_name=s",
         "hydra.sweeper.grace_s=10")  # fmt: skip


def start(folder, *words):
    """A sweep in a process of its own; what it says goes into ``console``."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "SWEEP_OF": str(folder)}
    with (folder / "console").open("ab") as console:
        return subprocess.Popen([COMMAND, *WORDS, *words], cwd=folder, env=environment,
                                stdout=console, stderr=console, start_new_session=True,
                                preexec_fn=hear_interrupts)  # fmt: skip


def trials(folder):
    """The study's, as they stand."""
    url = f"sqlite:///{folder}/outputs/sweeps/s/study.db"
    storage = optuna.storages.RDBStorage(url, {"poolclass": NullPool})
    found = optuna.load_study(study_name="s", storage=storage).trials
    storage.engine.dispose()
    return found


def workers(folder):
    """The ids of the processes that train."""
    found = processes_with({"SWEEP_OF": str(folder)}).items()
    return [pid for pid, words in found if "popen_loky" in words]


def said(folder):
    return (folder / "console").read_text()


def ends(folder, process, code=0):
    assert process.wait(900) == code, said(folder)


def logs(folder):
    return {path.parent.name: path.read_text()
            for path in folder.glob("outputs/sweeps/s/?/train.log")}  # fmt: skip


def begun(folder, number):
    """Whether so many trials are past an evaluation."""
    return sum("  select " in text for text in logs(folder).values()) >= number


@pytest.mark.slow
def test_trials_run_side_by_side(tmp_path):
    ends(tmp_path, start(tmp_path, "trainer.max_steps=60"))
    found = trials(tmp_path)
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * 4
    one, _, two, three = found  # the second is separate models again, which are the reference
    assert one.datetime_start < two.datetime_start < one.datetime_complete
    assert "same as" in found[1].user_attrs
    for trial in (one, two, three):
        folder = tmp_path / "outputs" / "sweeps" / "s" / str(trial.number) / ".hydra"
        words = yaml.safe_load((folder / "overrides.yaml").read_text())
        assert f"trainer.threads={max(1, usable_cores() // 2)}" in words
        assert yaml.safe_load((folder / "hydra.yaml").read_text())["hydra"]["job"]["num"] \
            == trial.number  # fmt: skip
    # Where a trial runs is no part of it.
    assert not any("threads" in str(trial.user_attrs["overrides"]) for trial in found)
    assert "Joblib" not in said(tmp_path)


@pytest.mark.slow
def test_a_killed_worker_costs_no_trial(tmp_path):
    process = start(tmp_path, "trainer.max_steps=400")
    wait_until(lambda: begun(tmp_path, 2), 600, "two trainings at once")
    os.kill(workers(tmp_path)[0], signal.SIGKILL)
    ends(tmp_path, process)
    assert [trial.state for trial in trials(tmp_path)] == [TrialState.COMPLETE] * 4
    assert "lost" in said(tmp_path) or "no heartbeat" in said(tmp_path)
    assert any("going on after step" in text for text in logs(tmp_path).values())


LONG = ("trainer.max_steps=600", "trainer.eval_every=20")


@pytest.mark.slow
@pytest.mark.parametrize("interrupt", [os.killpg, os.kill])
def test_an_interrupt_saves_what_runs_and_the_same_command_goes_on(tmp_path, interrupt):
    """A terminal sends Ctrl-C to the sweep and its workers, a script to the sweep alone."""
    process = start(tmp_path, *LONG)
    wait_until(lambda: begun(tmp_path, 2), 600, "two trainings at once")
    interrupt(process.pid, signal.SIGINT)
    ends(tmp_path, process, 130)
    assert "the same command goes on" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    wait_until(lambda: not workers(tmp_path), 120, "the end of the workers")
    ends(tmp_path, start(tmp_path, *LONG))
    assert [trial.state for trial in trials(tmp_path)] == [TrialState.COMPLETE] * 4
    again = [text for text in logs(tmp_path).values() if "going on after step" in text]
    assert len(again) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("send", "number"), [
    (os.kill, signal.SIGTERM), (os.killpg, signal.SIGINT), (os.killpg, signal.SIGTERM),
])  # fmt: skip
def test_an_interrupt_before_any_training_stops_the_workers(tmp_path, send, number):
    process = start(tmp_path, "trainer.max_steps=100000", "trainer.eval_every=100000")
    wait_until(lambda: len(workers(tmp_path)) == 2, 600, "two workers")
    send(process.pid, number)
    assert process.wait(300) == 130, said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    wait_until(lambda: not workers(tmp_path), 120, "the end of the workers")


@pytest.mark.slow
def test_too_many_failures_stop_the_trials_beside(tmp_path):
    words = ("trainer.max_steps=2000", "trainer.eval_every=2000", "split=1",
             "optimizer.lr=1e-3,1e30", "hydra.sweeper.reference=false")  # fmt: skip
    process = start(tmp_path, *words, "hydra.sweeper.max_failure_rate=0")
    assert process.wait(900) == 2, said(tmp_path)
    assert "max_failure_rate" in said(tmp_path)
    wait_until(lambda: not workers(tmp_path), 120, "the end of the workers")
    assert [trial.state for trial in trials(tmp_path)] == [TrialState.RUNNING, TrialState.FAIL]
    ends(tmp_path, start(tmp_path, *words, "hydra.sweeper.max_failure_rate=1"))
    assert [trial.state for trial in trials(tmp_path)] == [TrialState.COMPLETE, TrialState.FAIL]
