"""The lock of a run's folder, held by this process and by another one."""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from mtl_sharing.errors import FolderInUse, UserError
from mtl_sharing.run_folder.lock import hold, is_held
from mtl_sharing.utils import locks

HOLD = """
import sys
from pathlib import Path
from mtl_sharing.run_folder.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_held_within_the_block_and_free_after_an_error(tmp_path):
    assert not is_held(tmp_path)
    with hold(tmp_path):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)
    with pytest.raises(RuntimeError, match="broken"), hold(tmp_path):
        raise RuntimeError("broken")
    assert not is_held(tmp_path)


def test_a_second_process_is_refused_until_the_first_one_dies(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert is_held(tmp_path)
        with pytest.raises(FolderInUse, match=r"in use.*no running process"), hold(tmp_path):
            raise AssertionError("two processes hold the folder")
        holder.kill()
        holder.wait()
    assert not is_held(tmp_path)
    with hold(tmp_path):
        assert is_held(tmp_path)


def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch, caplog):
    @contextmanager
    def no_locks(path, wait=True):
        raise OSError(95, "Operation not supported")
        yield

    monkeypatch.setattr(locks, "exclusive", no_locks)
    with hold(tmp_path):
        assert not list(tmp_path.iterdir())
    assert "no locks" in caplog.text and str(tmp_path) in caplog.text


def special(path, kind):
    """Puts something that is no regular file at the path."""
    if kind == "a link":
        path.symlink_to("victim")
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))


@pytest.mark.parametrize("kind", ["a link", "a pipe", "a folder", "a socket"])
def test_a_lock_that_is_no_file_is_refused_and_never_waited_for(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    special(Path(".lock"), kind)
    assert is_held(tmp_path)
    with pytest.raises(UserError, match=rf"\.lock: found {kind};"), locks.exclusive(Path(".lock")):
        raise AssertionError("it was opened")
    assert not Path("victim").exists()


@pytest.mark.parametrize("kind", ["a link", "a pipe", "a socket"])
@pytest.mark.parametrize(
    "name",
    [".lock", "train.log", "result.json", "checkpoint", "checkpoint/last.pt", "tensorboard",
     "tensorboard/events", ".hydra", ".hydra/config.yaml", "baselines/separate-0/.lock"],
)  # fmt: skip
def test_nothing_in_a_run_may_lead_elsewhere(tmp_path, monkeypatch, name, kind):
    monkeypatch.chdir(tmp_path)
    run = Path("run")
    (run / name).parent.mkdir(parents=True)
    special(run / name, kind)
    with pytest.raises(UserError, match=rf"run/{name}: found {kind};"), hold(run):
        raise AssertionError("it was taken")
    assert not (run / ".lock").exists() or name == ".lock"


def test_a_link_to_a_run_and_a_users_own_links_beside_its_files_are_fine(tmp_path):
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    (tmp_path / "run" / "data").symlink_to(tmp_path)
    (tmp_path / "mine").symlink_to(tmp_path / "run")
    with hold(tmp_path / "mine"):
        assert is_held(tmp_path / "run")
