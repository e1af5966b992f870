"""Signals while training: the state is saved first, and a launcher's signal is passed on."""

import json
import signal
import threading
from contextlib import suppress

import pytest

from mtl_sharing.errors import Stopped
from mtl_sharing.training import signals
from mtl_sharing.training.learner import Learner
from mtl_sharing.training.signals import StopSignals
from support import QUICK

SETTINGS = (*QUICK, "encoder.layers=1", "trainer.max_steps=7", "hydra.run.dir=run")
INT, TERM, REQUEUE = signal.SIGINT, signal.SIGTERM, signal.SIGUSR2


@pytest.fixture
def launcher(tmp_path):
    """Handles SIGUSR2 in place of submitit: records the call, then ends the process."""
    calls = []

    def requeue(number, frame):
        # What SLURM may send while the job is on its way back into the queue.
        signal.raise_signal(TERM)
        calls.append((number, (tmp_path / "run" / "checkpoint" / "last.pt").is_file()))
        raise SystemExit(7)

    old = {
        REQUEUE: signal.signal(REQUEUE, requeue),
        TERM: signal.signal(TERM, lambda number, frame: None),
    }
    yield calls
    for number, handler in old.items():
        signal.signal(number, handler)


def stop_after(*numbers):
    """Receives signals within a block that then stops, as the trainer does."""
    with StopSignals() as received:
        for number in numbers:
            signal.raise_signal(number)
        if received.received is not None:
            raise Stopped("run")


@pytest.mark.parametrize("sent", [[REQUEUE], [TERM, REQUEUE], [REQUEUE, TERM]])
def test_the_launcher_queues_the_job_again(launcher, sent):
    with pytest.raises(SystemExit):
        stop_after(*sent)
    assert launcher == [(REQUEUE, False)]


@pytest.mark.parametrize("sent", [
    [TERM], [TERM, TERM], [INT, TERM],
    [INT, INT],  # a terminal's, and the same forwarded by a sweep
])  # fmt: skip
def test_a_scheduler_that_insists_stops_the_run_once(launcher, sent):
    with pytest.raises(Stopped):
        stop_after(*sent)
    assert launcher == []


@pytest.mark.parametrize("first", [INT, TERM])
def test_a_second_key_press_interrupts_at_once(first, monkeypatch):
    monkeypatch.setattr(signals, "REPEAT_S", -1.0)  # as if some time had passed
    with pytest.raises(KeyboardInterrupt) as caught:
        stop_after(first, INT)
    assert not isinstance(caught.value, Stopped)


@pytest.mark.parametrize("error", [None, Stopped("run"), ValueError("x")])
def test_handlers_are_restored(launcher, error):
    before = [signal.getsignal(number) for number in (INT, TERM, REQUEUE)]
    with suppress(Stopped, ValueError), StopSignals() as received:
        assert all(signal.getsignal(n) == received.receive for n in (INT, TERM, REQUEUE))
        if error is not None:
            raise error
    assert [signal.getsignal(number) for number in (INT, TERM, REQUEUE)] == before
    assert launcher == []


def test_a_requeue_signal_without_a_launcher_is_left_alone():
    assert signal.getsignal(REQUEUE) is signal.SIG_DFL
    with StopSignals():
        assert signal.getsignal(REQUEUE) is signal.SIG_DFL


def test_another_thread_handles_no_signals():
    before, seen = signal.getsignal(INT), []

    def work():
        with StopSignals():
            seen.append(signal.getsignal(INT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.fixture
def send_at(monkeypatch):
    """Sends signals during a step of the next run."""
    update = Learner.update

    def at(step, *numbers):
        def interrupted(self, number, total, ended):
            if number == step:
                monkeypatch.setattr(Learner, "update", update)
                for signal_number in numbers:
                    signal.raise_signal(signal_number)
            return update(self, number, total, ended)

        monkeypatch.setattr(Learner, "update", interrupted)

    return at


def status(finished):
    return json.loads((finished.cwd / "run" / "result.json").read_text())["status"]


def test_a_requeued_run_resumes_from_its_saved_state(mtl_train, send_at, launcher):
    send_at(4, TERM, REQUEUE)
    finished = mtl_train(*SETTINGS)
    assert finished.code == 7
    assert launcher == [(REQUEUE, True)]
    assert status(finished) == "running"
    again = mtl_train("resume=run")
    assert again.code == 0 and "going on after step 5 of 7" in again.err
    assert status(finished) == "finished"


def test_a_stopped_run_resumes_from_its_saved_state(mtl_train, send_at, launcher):
    send_at(4, INT, TERM)
    finished = mtl_train(*SETTINGS)
    assert finished.code == 130 and launcher == []
    assert status(finished) == "stopped"
    assert "going on after step 5 of 7" in mtl_train("resume=run").err


def test_a_second_ctrl_c_ends_the_command(mtl_train, send_at, monkeypatch):
    monkeypatch.setattr(signals, "REPEAT_S", -1.0)
    send_at(4, TERM, INT)
    finished = mtl_train(*SETTINGS)
    assert finished.code == 130 and "stopped at once" in finished.err
