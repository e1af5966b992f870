"""Signs of life: whose process has ended, and whose silence has lasted too long."""

import json
import os
import subprocess
import sys
import threading

import pytest

from mtl_sharing.sweep.study import heartbeat as module
from mtl_sharing.sweep.study.heartbeat import (
    IDLE_HEARTBEAT,
    HeartbeatThread,
    StaleTrialDetector,
    heartbeat,
    process_is_gone,
)

_OWN_HEARTBEAT = ("import json; from mtl_sharing.sweep.study.heartbeat import heartbeat;"
             "print(json.dumps(heartbeat(3, job=True)), flush=True); input()")  # fmt: skip


def test_a_process_is_gone_once_it_has_ended():
    with subprocess.Popen([sys.executable, "-c", _OWN_HEARTBEAT], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as child:  # fmt: skip
        assert child.stdout is not None
        beat = json.loads(child.stdout.readline())
        assert beat["pid"] == child.pid and beat["beat"] == 3
        assert not process_is_gone(beat)
        child.communicate("\n")
    assert process_is_gone(beat)


def test_a_process_of_another_machine_is_never_called_gone():
    gone = heartbeat(0, job=True) | {"pid": 2**22 + 1}
    assert process_is_gone(gone)
    assert not process_is_gone(gone | {"host": "another"})


def test_a_number_that_another_process_has_now_is_gone():
    assert not process_is_gone(heartbeat(0, job=True))
    assert process_is_gone(heartbeat(0, job=True) | {"start": "17"})


def test_a_trial_that_waits_for_its_turn_is_not_gone():
    assert not process_is_gone(IDLE_HEARTBEAT)
    assert not IDLE_HEARTBEAT["job"]  # so that the sweep shows life for it
    assert not process_is_gone(None)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a test says so."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_silence_counts_from_the_last_change(clock):
    detector, beat = StaleTrialDetector(30), heartbeat(0, job=True)
    assert not detector.is_lost(5, beat)
    clock[0] += 29
    assert not detector.is_lost(5, beat)
    clock[0] += 2
    assert detector.is_lost(5, beat)
    assert not detector.is_lost(5, beat | {"beat": 1})
    assert not detector.is_lost(7, beat)


def test_a_trial_that_begins_anew_has_its_time_again(clock):
    detector, beat = StaleTrialDetector(30), heartbeat(0, job=True)
    detector.is_lost(5, beat)
    clock[0] += 31
    assert detector.is_lost(5, beat)
    detector.forget(5)
    assert not detector.is_lost(5, beat)


def test_silence_while_nobody_could_be_heard_does_not_count(clock):
    back = [float("-inf")]
    detector, beat = StaleTrialDetector(30, lambda: back[0]), heartbeat(0, job=True)
    detector.is_lost(5, beat)
    clock[0] += 300
    back[0] = clock[0]
    assert not detector.is_lost(5, beat)
    clock[0] += 31
    assert detector.is_lost(5, beat)


def test_beats_go_on_past_one_that_fails():
    beats: list[int] = []
    enough = threading.Event()

    def write(beat: int) -> None:
        beats.append(beat)
        if beat == 1:
            raise OSError("no database")
        if beat == 3:
            enough.set()

    before = threading.active_count()
    with HeartbeatThread(write, every_s=0.01):
        assert beats[0] == 0
        assert enough.wait(10)
    assert beats[:4] == [0, 1, 2, 3]
    assert threading.active_count() == before


def test_a_heartbeat_names_this_process():
    assert heartbeat(0, job=False)["pid"] == os.getpid()
