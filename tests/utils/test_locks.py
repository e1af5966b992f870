"""One holder at a time: a second one waits or is refused, and a look at the lock disturbs none."""

import errno
import fcntl
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mtl_sharing.utils.locks import Locked, exclusive, exclusive_folder, is_held

LOOK = """
import sys
import time
from pathlib import Path
from mtl_sharing.utils.locks import is_held
print("ready", flush=True)
while True:
    is_held(Path(sys.argv[1]))
"""
HOLD = """
import sys
import time
from pathlib import Path
from mtl_sharing.utils.locks import exclusive
with exclusive(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def start(path):
    """Starts a script and returns once it is ready; what still runs is killed in the end."""
    processes = []

    def begin(script):
        command = [sys.executable, "-c", script, str(path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        processes.append(subprocess.Popen(command, text=True, **pipes))
        assert processes[-1].stdout.readline() == "ready\n"
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_no_look_keeps_a_process_from_taking_the_lock(path, start):
    """Four lookers hold the file nearly all the time between them."""
    for _ in range(4):
        start(LOOK)
    for _ in range(200):
        with exclusive(path, wait=False):
            assert is_held(path)


def test_a_second_holder_is_refused_until_the_process_of_the_first_is_killed(path, start):
    process = start(HOLD)
    assert is_held(path)
    with pytest.raises(Locked, match="lock"), exclusive(path, wait=False):
        pass
    process.kill()
    process.communicate()
    assert not is_held(path)
    with exclusive(path, wait=False):
        assert is_held(path)
    assert not is_held(path)


def test_a_second_holder_waits(path):
    def take():
        with exclusive(path):
            order.append("second")

    order = []
    with ThreadPoolExecutor(1) as threads:
        with exclusive(path):
            second = threads.submit(take)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.1)
            order.append("first")
        second.result(timeout=30)
    assert order == ["first", "second"]


def test_the_lock_is_released_when_the_block_raises(path):
    with pytest.raises(KeyError), exclusive(path):
        raise KeyError
    assert not is_held(path)


def test_a_file_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert is_held(tmp_path / "file" / "lock")
    assert not is_held(tmp_path / "nowhere")
    with pytest.raises(OSError, match="exists"), exclusive(tmp_path / "file" / "lock", wait=False):
        pass


def test_two_blocks_on_one_folder_take_turns_and_leave_nothing(tmp_path):
    order = []

    def second():
        with exclusive_folder(tmp_path):
            order.append("second")

    with ThreadPoolExecutor() as pool:
        with exclusive_folder(tmp_path):
            waiting = pool.submit(second)
            time.sleep(0.1)
            order.append("first")
        waiting.result()
    assert order == ["first", "second"]
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks_lets_both_in(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with exclusive_folder(tmp_path), exclusive_folder(tmp_path):
        pass
