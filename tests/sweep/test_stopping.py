"""Sweeps that are killed or interrupted go on, and two at once share a study."""

import signal
from itertools import count
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncher

from mtl_sharing.sweep.loop.ask import TrialProposer
from mtl_sharing.sweep.study import heartbeat
from mtl_sharing.sweep.study.attributes import OVERRIDES
from mtl_sharing.sweep.study.study import SweepStudy
from support import interrupt_reading, interrupted_at_step, start, wait_for
from sweep_runs import FOLDER, GRID, TPE, results, states, study

PERFORMANCE = (*GRID, "score.objective=performance")


@pytest.fixture
def as_in_another_process(monkeypatch):
    """Trials that an earlier command of this process has left count as lost at once."""
    monkeypatch.setattr(heartbeat, "process_is_gone", lambda beat: True)


@pytest.mark.slow
def test_kill_and_the_same_command_again(mtl_train, tmp_path):
    words = (*PERFORMANCE, "hydra.sweeper.n_trials=2", "trainer.max_steps=24",
             "trainer.eval_every=1")  # fmt: skip
    folder = tmp_path / FOLDER
    process = start(tmp_path, *words)
    wait_for(folder / "2" / "checkpoint" / "last.pt", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert states(folder) == ["COMPLETE", "COMPLETE", "RUNNING"]
    begun = (folder / "0" / "result.json").stat().st_mtime_ns
    again = mtl_train(*words)
    assert again.code == 0, again.err
    assert "trial 2: resumed" in again.out + again.err
    assert "going on after step" in (folder / "2" / "train.log").read_text()
    assert states(folder) == ["COMPLETE"] * 3
    assert (folder / "0" / "result.json").stat().st_mtime_ns == begun
    assert {n: result["plan"] for n, result in results(folder).items()} == {0: "I3", 2: "S1-I2"}


class Killed(BaseException):
    """Nothing handles it, as nothing handles SIGKILL."""


@pytest.mark.slow
@pytest.mark.usefixtures("as_in_another_process")
def test_killed_while_it_proposes_a_trial(mtl_train, monkeypatch):
    """Between adding a trial and saving its overrides, before and after its values are drawn."""
    set_attrs = SweepStudy.set_attrs

    def killed(self, *arguments):
        raise Killed

    def killed_at_the_overrides(self, number, **attributes):
        if OVERRIDES in attributes and number == 2:
            raise Killed
        return set_attrs(self, number, **attributes)

    words = (*TPE, "score.objective=performance", "hydra.sweeper.n_trials=3")
    deaths = [("draw", killed, [0]), ("set_attrs", killed_at_the_overrides, [2, 2])]
    for name, death, drawn in deaths:
        with monkeypatch.context() as patch:
            patch.setattr(SweepStudy, name, death)
            with pytest.raises(Killed):
                mtl_train(*words)
        last = study().trials[-1]
        assert last.state.name == "RUNNING" and OVERRIDES not in last.user_attrs
        assert [len(trial.params) for trial in study().trials[1:]] == drawn
    again = mtl_train(*words)
    assert again.code == 0, again.err
    assert states() == ["COMPLETE"] * 3
    assert [len(trial.params) for trial in study().trials] == [0, 2, 2]


@pytest.mark.slow
def test_two_sweeps_share_a_study(tmp_path):
    words = (*TPE, "score.objective=performance", "hydra.sweeper.n_trials=3",
             "hydra.sweeper.sampler.seed=null")  # fmt: skip
    both = [start(tmp_path, *words) for _ in range(2)]
    for process in both:
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0, out
    folder = tmp_path / FOLDER
    own = [trial for trial in study(folder).trials if "same as" not in trial.user_attrs]
    assert len(own) == 3
    assert {trial.state.name for trial in own} == {"COMPLETE"}
    assert set(results(folder)) == {trial.number for trial in own}


@pytest.mark.usefixtures("as_in_another_process")
@pytest.mark.slow
def test_an_interrupt_leaves_a_trial_that_goes_on_and_counts_as_no_loss(mtl_train):
    words = (*PERFORMANCE, "hydra.sweeper.n_trials=1", "hydra.sweeper.retries=0",
             "trainer.eval_every=1")  # fmt: skip
    for step in (2, 3):
        with interrupted_at_step(step):
            done = mtl_train(*words)
        assert done.code == 130, done.err
        assert "the same command goes on" in done.err
        assert states() == ["RUNNING"]
    again = mtl_train(*words)
    assert again.code == 0, again.err
    assert states() == ["COMPLETE"]
    log = (FOLDER / "0" / "train.log").read_text()
    assert "going on after step 2" in log and "going on after step 3" in log


@pytest.mark.slow
def test_a_sweep_that_was_stopped_draws_what_it_would_have_drawn(mtl_train):
    words = (*TPE, "score.objective=performance")
    assert mtl_train(*words, "hydra.sweeper.n_trials=3").code == 0
    assert mtl_train(*words, "hydra.sweeper.n_trials=6").code == 0
    uninterrupted = (*words, "hydra.sweeper.n_trials=6", "hydra.sweeper.study_name=one")
    assert mtl_train(*uninterrupted).code == 0
    parts, one = study().trials, study(Path("outputs/sweeps/one"), "one").trials
    assert [trial.params for trial in parts] == [trial.params for trial in one]
    assert [trial.values for trial in parts] == [trial.values for trial in one]
    assert len({str(trial.params) for trial in one}) == len(one)


@pytest.mark.slow
@pytest.mark.usefixtures("as_in_another_process")
def test_an_interrupt_while_hydra_composes_a_trial(mtl_train, monkeypatch):
    """Once for the proposal of the second trial, once for its job."""
    words = (*PERFORMANCE, "hydra.sweeper.reference=false", "hydra.sweeper.n_trials=2")
    for owner, name, call in [(TrialProposer, "next", 1), (BasicLauncher, "launch", 0)]:
        work, calls = getattr(owner, name), count()

        def interrupted(self, *arguments, work=work, calls=calls, call=call, **named):
            with pytest.MonkeyPatch.context() as patch:
                if next(calls) == call:
                    interrupt_reading(patch)
                return work(self, *arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupted)
            done = mtl_train(*words)
        assert done.code == 130, done.err
        assert done.err.endswith("mtl-train: stopped; the same command goes on with the sweep\n")
        assert "Traceback" not in done.out + done.err
        assert states() == ["COMPLETE", "RUNNING"]
    assert mtl_train(*words).code == 0
    assert states() == ["COMPLETE", "COMPLETE"]
