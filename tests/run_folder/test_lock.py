"""The lock of a run's folder, held by this process and by another one."""

import subprocess
import sys
from contextlib import contextmanager

import pytest

from mtl_sharing.errors import FolderInUse
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
