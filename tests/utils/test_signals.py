"""Signals that ask a process to stop, wherever they come."""

import os
import signal
import subprocess
import sys
from threading import Thread

import pytest

from mtl_sharing.training.signals import StopSignals
from mtl_sharing.utils import signals
from mtl_sharing.utils.signals import STOPPING, interrupts, unanswered

INT, TERM, HUP = STOPPING


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_interrupts_once(number):
    before = [signal.getsignal(one) for one in STOPPING]
    cleaned = []
    with interrupts():
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            for one in STOPPING:  # a scheduler insists, a parent forwards
                signal.raise_signal(one)
            cleaned.append(unanswered())
    assert cleaned == [True]
    assert not unanswered()
    assert [signal.getsignal(one) for one in STOPPING] == before


def test_another_key_press_interrupts_the_clean_up(monkeypatch):
    monkeypatch.setattr(signals, "REPEAT_S", -1.0)  # as if some time had passed
    with interrupts():
        try:
            signal.raise_signal(TERM)
        except KeyboardInterrupt:
            signal.raise_signal(TERM)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(INT)


class _Freed:
    def __del__(self):
        signal.raise_signal(TERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_stops_the_next_training():
    with interrupts():
        _Freed()  # an exception is only printed there
        assert unanswered()
        with StopSignals() as training:
            assert training.received == TERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(TERM)
    with StopSignals() as training:
        assert training.received is None


def test_nohup_is_respected():
    before = signal.signal(HUP, signal.SIG_IGN)
    try:
        with interrupts():
            signal.raise_signal(HUP)
            assert signal.getsignal(HUP) is signal.SIG_IGN
    finally:
        signal.signal(HUP, before)


# A worker: starts with its signals blocked, and gets one before, between and in its jobs.
WORKER = """
import os, signal
from mtl_sharing.utils.signals import interrupts_in_job
def job(in_it=None):
    try:
        with interrupts_in_job():
            if in_it:
                signal.raise_signal(in_it)
            print("done")
    except KeyboardInterrupt:
        print("stopped")
os.kill(os.getpid(), signal.SIGINT)
job(); job(); job(signal.SIGTERM)
os.kill(os.getpid(), signal.SIGTERM)
job(); job()
"""


def test_a_worker_is_stopped_in_its_jobs_alone():
    said = []

    def work():
        signals.block_in_children()
        said.append(subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True))

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert said[0].stderr == ""
    assert said[0].stdout.split() == ["stopped", "done", "stopped", "stopped", "done"]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())  # here nothing is blocked


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_while_modules_load_is_silent(number, tmp_path):
    """The first module that the command loads sends it."""
    (tmp_path / "hydra.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\n")
    code = "import sys; from mtl_sharing.cli.entry_points import train; "
    code += "sys.argv = ['mtl-train']; train()"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (-number, b"", b"")
