"""Sweeps that are killed or interrupted go on, and two at once share a study."""

import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from mtl_sharing.errors import Stopped
from mtl_sharing.sweep.jobs import trial_job as trial_module
from mtl_sharing.sweep.jobs.launcher import JobPool
from mtl_sharing.sweep.loop.ask import TrialProposer
from mtl_sharing.sweep.study import heartbeat as life
from support import interrupt_reading, start, wait_for
from sweep_runs import FOLDER, GRID, TPE, results, states, study


def test_kill_and_the_same_command_again(mtl_train, tmp_path):
    words = (*GRID, "score.objective=performance", "trainer.max_steps=60")
    folder = tmp_path / FOLDER
    process = start(tmp_path, *words)
    wait_for(folder / "3" / "checkpoint" / "last.pt", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert states(folder) == ["COMPLETE", "COMPLETE", "COMPLETE", "RUNNING"]
    begun = (folder / "2" / "result.json").stat().st_mtime_ns
    again = mtl_train(*words)
    assert again.code == 0, again.err
    assert "trial 3: taken up again" in again.out + again.err
    assert "going on after step" in (folder / "3" / "train.log").read_text()
    assert states(folder) == ["COMPLETE"] * 5
    assert (folder / "2" / "result.json").stat().st_mtime_ns == begun
    assert {n: each["plan"] for n, each in results(folder).items()} == {
        0: "I3", 2: "S1-I2", 3: "S2-I1", 4: "S3",
    }  # fmt: skip


@pytest.mark.parametrize("where", ["drawn", "noted"])
def test_killed_while_it_asks(mtl_train, tmp_path, where):
    """Between making a trial and saying what it is, before or after its values are drawn."""
    killing = {
        "drawn": "TrialProposer._asked = lambda self, *a: os._exit(9) if a[1] else old(self, *a)",
        "noted": "TrialProposer._noted = "
        "lambda s, *a: os._exit(9) if a[0].number == 2 else noted(s, *a)",
    }[where]  # fmt: skip
    code = (
        "import os, sys\nfrom mtl_sharing.sweep.loop.ask import TrialProposer\n"
        f"old, noted = TrialProposer._asked, TrialProposer._noted\n{killing}\n"
        "from mtl_sharing.cli.train import main\nmain()\n"
    )
    words = (*GRID, "score.objective=performance")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, env=environment,
                            capture_output=True, check=False)  # fmt: skip
    assert killed.returncode == 9, killed.stderr
    folder = tmp_path / FOLDER
    assert states(folder)[-1] == "RUNNING"
    again = mtl_train(*words)
    assert again.code == 0, again.err
    assert states(folder) == ["COMPLETE"] * 5
    assert [trial.params.get("split") for trial in study(folder).trials] == [None, 0, 1, 2, 3]


def test_two_sweeps_share_a_study(tmp_path):
    words = (*TPE, "score.objective=performance", "hydra.sweeper.n_trials=6",
             "hydra.sweeper.sampler.seed=null")  # fmt: skip
    both = [start(tmp_path, *words) for _ in range(2)]
    for process in both:
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0, out
    folder = tmp_path / FOLDER
    own = [trial for trial in study(folder).trials if "same as" not in trial.user_attrs]
    assert len(own) == 6
    assert {trial.state.name for trial in own} == {"COMPLETE"}
    assert set(results(folder)) == {trial.number for trial in own}


def test_an_interrupt_leaves_a_sweep_that_goes_on(mtl_train, tmp_path):
    words = (*GRID, "score.objective=performance", "trainer.max_steps=60")
    folder = tmp_path / FOLDER
    process = start(tmp_path, *words)
    wait_for(folder / "2" / "checkpoint" / "last.pt", process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 130, out
    assert "the same command goes on" in out
    assert states(folder)[2] == "RUNNING"
    again = mtl_train(*words)
    assert again.code == 0, again.err
    assert states(folder) == ["COMPLETE"] * 5


def test_a_trial_that_is_stopped_again_and_again_is_no_lost_one(mtl_train, monkeypatch):
    real, stops = trial_module.run_job, iter(range(4))

    def run_job(config, folder, hooks):
        if next(stops, None) is not None:
            raise Stopped(str(folder))
        return real(config, folder, hooks)

    monkeypatch.setattr(trial_module, "run_job", run_job)
    monkeypatch.setattr(life, "process_is_gone", lambda found: True)  # as in other processes
    words = (*GRID, "score.objective=performance", "hydra.sweeper.n_trials=1")
    codes = [mtl_train(*words).code for _ in range(5)]
    assert codes == [130, 130, 130, 130, 0]
    assert states() == ["COMPLETE"]


@pytest.mark.slow
def test_a_sweep_that_was_stopped_draws_what_it_would_have_drawn(mtl_train):
    words = (*TPE, "score.objective=performance")
    assert mtl_train(*words, "hydra.sweeper.n_trials=3").code == 0
    assert mtl_train(*words, "hydra.sweeper.n_trials=6").code == 0
    whole = (*words, "hydra.sweeper.n_trials=6", "hydra.sweeper.study_name=whole")
    assert mtl_train(*whole).code == 0
    parts, one = study().trials, study(Path("outputs/sweeps/whole"), "whole").trials
    assert [trial.params for trial in parts] == [trial.params for trial in one]
    assert [trial.values for trial in parts] == [trial.values for trial in one]
    assert len({str(trial.params) for trial in one}) == len(one)


@pytest.mark.parametrize(("owner", "name"), [(TrialProposer, "_asked"), (JobPool, "_launch")])
def test_an_interrupt_while_hydra_composes_a_trial(mtl_train, monkeypatch, owner, name):
    """Once for the question, once for the job."""
    words = (*GRID, "score.objective=performance", "hydra.sweeper.reference=false",
             "hydra.sweeper.n_trials=2")  # fmt: skip
    work, calls = getattr(owner, name), count()

    def interrupted(self, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            if next(calls) == 1:
                interrupt_reading(patch)
            return work(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        done = mtl_train(*words)
    assert done.code == 130, done.err
    assert done.err.endswith("mtl-train: stopped; the same command goes on with the sweep\n")
    assert "Traceback" not in done.out + done.err
    assert states() == ["COMPLETE", "RUNNING"]
    assert mtl_train(*words).code == 0
    assert states() == ["COMPLETE", "COMPLETE"]
