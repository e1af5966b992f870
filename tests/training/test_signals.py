"""Signals while training: the state is saved first, and a scheduler's are handed on."""

import json
import signal

import pytest

from mtl_sharing.training import signals
from mtl_sharing.training.learner import Learner
from support import QUICK

WORDS = (*QUICK, "encoder.layers=1", "trainer.max_steps=7", "hydra.run.dir=run")


@pytest.fixture
def send_at(monkeypatch):
    """Has the next run receive signals during a step."""
    update = Learner.update

    def at(step, *numbers):
        def interrupted(self, number, total):
            if number == step:
                monkeypatch.setattr(Learner, "update", update)
                for each in numbers:
                    signal.raise_signal(each)
            return update(self, number, total)

        monkeypatch.setattr(Learner, "update", interrupted)

    return at


@pytest.fixture
def queue(tmp_path):
    """Stands in the place of submitit: keeps what it was called with and ends the process."""
    calls = []

    def requeue(number, frame):
        # What SLURM may send while the job is on its way back into the queue.
        signal.raise_signal(signal.SIGTERM)
        calls.append((number, (tmp_path / "run" / "checkpoint" / "last.pt").is_file()))
        raise SystemExit(7)

    old = {
        signal.SIGUSR2: signal.signal(signal.SIGUSR2, requeue),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, frame: None),
    }
    yield calls
    for number, handler in old.items():
        signal.signal(number, handler)


def status(done):
    return json.loads((done.cwd / "run" / "result.json").read_text())["status"]


@pytest.mark.parametrize("sent", [
    [signal.SIGUSR2], [signal.SIGTERM, signal.SIGUSR2], [signal.SIGUSR2, signal.SIGTERM],
])  # fmt: skip
def test_a_run_is_queued_again_with_its_state_saved(mtl_train, send_at, queue, sent):
    send_at(4, *sent)
    done = mtl_train(*WORDS)
    assert done.code == 7
    assert queue == [(signal.SIGUSR2, True)]
    assert status(done) == "running"
    again = mtl_train("resume=run")
    assert again.code == 0 and "going on after step 5 of 7" in again.out
    assert status(done) == "finished"


@pytest.mark.parametrize("sent", [
    [signal.SIGTERM], [signal.SIGTERM, signal.SIGTERM], [signal.SIGINT, signal.SIGTERM],
    [signal.SIGINT, signal.SIGINT],  # a terminal's, and the same handed on by a sweep
])  # fmt: skip
def test_a_scheduler_that_insists_does_not_cost_the_state(mtl_train, send_at, queue, sent):
    send_at(4, *sent)
    done = mtl_train(*WORDS)
    assert done.code == 130 and queue == []
    assert status(done) == "stopped"
    assert "going on after step 5 of 7" in mtl_train("resume=run").out


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_stops_at_once(mtl_train, send_at, first, monkeypatch):
    monkeypatch.setattr(signals, "REPEAT_S", -1.0)  # as if some time had passed
    send_at(4, first, signal.SIGINT)
    done = mtl_train(*WORDS)
    assert done.code == 130 and "stopped at once" in done.err


def test_nobody_listens_to_a_signal_that_nobody_knows(mtl_train, monkeypatch):
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
    seen = []
    update = Learner.update

    def watched(self, number, total):
        seen.append(signal.getsignal(signal.SIGUSR2))
        return update(self, number, total)

    monkeypatch.setattr(Learner, "update", watched)
    assert mtl_train(*WORDS).code == 0
    assert set(seen) == {signal.SIG_DFL}
