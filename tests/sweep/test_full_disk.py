"""A disk that fills costs a sweep nothing: with room, the same command completes."""

import errno
import os
import resource

import pytest
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.engine import Engine

from mtl_sharing.sweep.jobs import trial_job
from mtl_sharing.sweep.jobs.launcher import JobPool
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.study import heartbeat, storage
from mtl_sharing.sweep.study.storage import FIRST_S, DatabaseUnwritable
from mtl_sharing.sweep.study.study import open_study
from sweep.test_parallel import ends, said, start, trials
from sweep_runs import FOLDER, GRID, KEEP, results, states

WORDS = (*GRID, "score.objective=performance", "hydra.sweeper.n_trials=2",
         "hydra.sweeper.max_failure_rate=0")  # fmt: skip


@pytest.fixture(autouse=True)
def as_in_another_process(monkeypatch):
    """Trials that an earlier command of this process has left count as lost at once."""
    monkeypatch.setattr(heartbeat, "process_is_gone", lambda beat: True)


@pytest.fixture
def full(monkeypatch):
    """Takes the end of a path that no file can replace from then on."""
    replace = os.replace

    def limit(name):
        def refused(source, target, **named):
            if str(target).endswith(name):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
            return replace(source, target, **named)

        monkeypatch.setattr(os, "replace", refused)

    return limit


ALONE = ("hydra.sweeper.reference=false", "hydra.sweeper.n_trials=1", "encoder.layers=1")


@pytest.mark.parametrize(("name", "left", "more"), [
    pytest.param("sweep/0/checkpoint/last.pt", ["RUNNING"], ALONE, marks=pytest.mark.slow),
    pytest.param("sweep/2/result.json", ["COMPLETE", "COMPLETE", "RUNNING"], (),
                 marks=pytest.mark.slow),
    pytest.param("sweep/sweep.csv", ["COMPLETE"], (), marks=pytest.mark.slow),
])  # fmt: skip
def test_the_same_command_goes_on_once_there_is_room(mtl_train, full, name, left, more):
    full(name)
    done = mtl_train(*WORDS, *more)
    assert done.code == 2
    (line,) = [text for text in done.err.splitlines() if text.startswith("mtl-train: ")]
    assert f"{name}: found No space left" in line and "the same command goes on" in line
    assert states() == left
    full("nothing")
    again = mtl_train(*WORDS, *more)
    assert again.code == 0, again.err
    assert states() == ["COMPLETE"] * (1 if more else 3)
    assert {result["status"] for result in results().values()} == {"finished"}
    assert (FOLDER / "best.yaml").is_file()


class _Launcher:
    """Raises an error in place of a job, as Hydra does where it cannot make the job's folder."""

    def __init__(self, error):
        self.error = error

    def launch(self, overrides, initial_job_idx):
        raise self.error


def _caused_by(cause):
    error = ValueError("Unable to configure handler 'file'")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(("error", "disk", "lost"), [
    (OSError(errno.EDQUOT, "Disk quota exceeded", "a"), True, True),
    (OSError(errno.EROFS, "Read-only file system", "a"), True, True),
    (_caused_by(PermissionError(errno.EACCES, "Permission denied", "a")), True, True),
    (DatabaseUnwritable("study.db", "full", "room"), True, True),
    *[(OSError(number, "reason", "a"), False, True)
      for number in (errno.ENOENT, errno.EISDIR, errno.EMFILE, errno.ENOMEM, errno.ECONNRESET)],
    (RuntimeError("a worker died"), False, True),
])  # fmt: skip
def test_a_job_that_cannot_begin(error, disk, lost):
    jobs = JobPool(_Launcher(error), 1, inline=True)
    outcome = jobs.outcome(jobs.start(0, []))
    assert (outcome.storage_error is not None, outcome.lost) == (disk, lost)


@pytest.mark.slow
def test_a_reference_without_memory_is_tried_again(mtl_train, monkeypatch):
    def run_job(config, folder, hooks):
        raise MemoryError

    words = (*GRID, *KEEP, "hydra.sweeper.n_trials=1")
    with monkeypatch.context() as patch:
        patch.setattr(trial_job, "run_job", run_job)
        done = mtl_train(*words)
    assert done.code == 2
    assert "trial 0: MemoryError" in done.err and "tries them again" in done.err
    assert states() == ["RUNNING"]
    again = mtl_train(*words)
    assert again.code == 0, again.err
    assert states() == ["COMPLETE"]


def test_a_database_without_room_is_not_waited_for_long(tmp_path, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(storage.time, "sleep", pauses.append)

    def limit(connection, record):
        connection.execute("PRAGMA max_page_count=60")

    event.listen(Engine, "connect", limit)
    try:
        study = open_study(SweeperConfig(study_name="s"), tmp_path, ["maximize"], {"a": 1})
        number = study.add_trial({})
        attributes = {str(name): "x" * 2000 for name in range(200)}
        with pytest.raises(DatabaseUnwritable, match="full"):
            study.set_attrs(number, **attributes)
    finally:
        event.remove(Engine, "connect", limit)
    assert sum(pauses) == pytest.approx(FIRST_S)
    assert study.trial(number).state == TrialState.RUNNING  # what is there can be read


@pytest.mark.slow
def test_trials_side_by_side_go_on_once_there_is_room(tmp_path):
    """A limit on the size of files stands for a disk that takes no more; workers inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, hard))
    try:
        process = start(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    ends(tmp_path, process, 2)
    assert "the same command goes on" in said(tmp_path) and "Traceback" not in said(tmp_path)
    assert {trial.state for trial in trials(tmp_path)} == {TrialState.RUNNING}
    ends(tmp_path, start(tmp_path))
    assert [trial.state for trial in trials(tmp_path)] == [TrialState.COMPLETE] * 4
