"""An interrupt is told in one line, also where somebody's clearing up has made an error of it."""

import errno
import io
import json
import logging.config
import os
import shlex
import signal
import subprocess
import sys

import pytest

from mtl_sharing.cli.exit import INTERRUPTED, MISTAKE, READER_GONE, exit_on_failure, explain
from mtl_sharing.errors import Stopped, UserError
from mtl_sharing.predict.loading import load_run
from mtl_sharing.run_folder.discovery import refuse_used_folder
from mtl_sharing.sweep.study.records import train_command
from mtl_sharing.training import trainer
from support import QUICK, interrupt_reading


def test_an_interrupt_while_hydra_reads_a_config_file(mtl_train, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_reading(patch)
        done = mtl_train(*QUICK)
    assert done.code == INTERRUPTED
    assert done.err.splitlines() == ["mtl-train: stopped at once; the last checkpoint is kept"]
    assert not (done.cwd / "outputs").exists()


def raised_by(work) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        work()
    return caught.value


def clearing_up(error: Exception | None):
    """Raises an error, or that of an unknown name, in place of an interrupt."""

    def work():
        try:
            raise KeyboardInterrupt
        finally:
            if error is not None:
                raise error
            unknown.close()  # noqa: F821

    return work


def test_only_an_error_that_nobody_can_explain_stands_for_an_interrupt():
    assert explain(raised_by(clearing_up(None)))[0] == INTERRUPTED
    full = explain(raised_by(clearing_up(OSError(28, "No space left on device", "a"))))
    assert full[0] == MISTAKE and "No space left" in str(full[1])
    mistake = raised_by(clearing_up(UserError("split", 13, "0 to 12")))
    assert explain(mistake) == (MISTAKE, "split: found 13; allowed: 0 to 12")
    assert explain(RuntimeError("a bug")) == (1, None)


def test_what_is_too_deep_or_long_is_one_short_message():
    code, message = explain(RecursionError("maximum recursion depth exceeded"))
    assert code == MISTAKE and "nested too deeply" in message
    message = explain(UserError("sharing.plan", "[" * 200_000, "S12"))[1]
    assert message.endswith("[... (200,000 characters); allowed: S12") and len(message) < 2100


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named_and_what_to_do(tmp_path, number):
    run = tmp_path / "a b$(x)'\""
    error = OSError(number, os.strerror(number))
    code, message = explain(error)
    found = f"{os.strerror(number)}: the disk or the quota is full"
    assert code == MISTAKE and message.startswith(f"the output: found {found}")
    assert message.endswith("then: the same command again")
    assert explain(error, run)[1].startswith(f"{run}: found {found}")
    error.filename = str(run / "last.pt")
    run.mkdir()
    (run / "result.json").write_text("{}")
    message = explain(error, run)[1]
    assert message.startswith(f"{run / 'last.pt'}: found {found}")
    command = message.partition("then: ")[2]
    assert shlex.split(command) == ["mtl-train", f"resume={run}"]
    other = explain(OSError(errno.EACCES, os.strerror(errno.EACCES), "x"))[1]
    assert "Permission denied" in other and "quota" not in other


def test_the_command_that_goes_on_is_quoted_for_a_shell(capsys):
    folder = "/tmp/a b$(touch x)'\"\x1b[2J"

    def stop():
        raise Stopped(folder)

    with pytest.raises(SystemExit):
        exit_on_failure(stop, debug=False)
    printed = capsys.readouterr().err
    assert "\x1b" not in printed
    command = printed.strip().partition("go on with: ")[2]
    shown = folder.replace("\x1b", r"\x1b")
    assert shlex.split(command) == ["mtl-train", f"resume={shown}"]


def test_a_log_file_that_is_a_link_is_one_message(tmp_path):
    (tmp_path / "train.log").symlink_to("/dev/null")
    settings = {"version": 1, "handlers": {"file": {
        "class": "mtl_sharing.utils.logging.RegularFileHandler",
        "filename": str(tmp_path / "train.log")}}}  # fmt: skip
    code, message = explain(raised_by(lambda: logging.config.dictConfig(settings)))
    assert code == MISTAKE and "train.log: found a link" in message


def test_every_printed_command_is_quoted_for_a_shell(tmp_path):
    folder = tmp_path / "a b$(x)'\""
    folder.mkdir()
    command = ["mtl-train", "--config-dir", str(folder), "--config-name", "best"]
    assert shlex.split(train_command(folder)) == command
    (folder / "result.json").write_text('{"status": "stopped"}')
    with pytest.raises(UserError) as refused:
        load_run(folder)
    shown = refused.value.allowed.partition("(")[2].removesuffix(" goes on with this one)")
    assert shlex.split(shown) == ["mtl-train", f"resume={folder}"]
    with pytest.raises(UserError) as refused:
        refuse_used_folder(folder)
    command = refused.value.allowed.partition("with that run: ")[2]
    assert shlex.split(command) == ["mtl-train", f"resume={folder}"]


@pytest.mark.parametrize("stage", [
    "load_pinned", pytest.param("load_or_train_baselines", marks=pytest.mark.slow),
    pytest.param("evaluate", marks=pytest.mark.slow), "write_predictions",
])  # fmt: skip
def test_a_scheduler_stops_a_run_before_and_after_its_training(mtl_train, monkeypatch, stage):
    words = (*QUICK, "encoder.layers=1", "hydra.run.dir=run")
    with monkeypatch.context() as patch:
        patch.setattr(f"mtl_sharing.job.stages.{stage}", _terminated)
        done = mtl_train(*words)
    assert done.code == INTERRUPTED, done.err
    assert done.run_result("run")["status"] == "stopped"
    assert mtl_train("resume=run").code == 0
    assert done.run_result("run")["status"] == "finished"


def _terminated(*arguments, **named):
    signal.raise_signal(signal.SIGTERM)


def test_an_untrained_run_is_stopped_while_it_evaluates(mtl_train, monkeypatch):
    """Its one evaluation is part of the training, which has no step."""
    words = [word for word in QUICK if "max_steps" not in word]
    evaluate = trainer.evaluate

    def terminated(*arguments, **named):
        signal.raise_signal(signal.SIGTERM)
        return evaluate(*arguments, **named)

    monkeypatch.setattr(trainer, "evaluate", terminated)
    done = mtl_train(*words, "trainer.max_steps=0", "encoder.layers=1", "hydra.run.dir=run")
    assert done.code == INTERRUPTED, done.err
    assert done.run_result("run")["status"] == "stopped"


# How the command ends, what it says, and the state of its run.
SHELL = {
    "| true": (READER_GONE, "", "finished"),
    "2>&1 | head -1": (READER_GONE, "", "stopped"),
    "> /dev/full": (MISTAKE, "the standard output: found No space left", "finished"),
}


@pytest.mark.slow
@pytest.mark.parametrize("output", SHELL)
def test_a_run_whose_output_is_lost_saves_its_state(mtl_train, tmp_path, output):
    words = (*QUICK, "trainer.eval_every=1", "hydra.run.dir=run")
    command = f"{sys.executable} -m mtl_sharing.cli.train {' '.join(words)} {output}"
    script = f"{command}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    code, message, status = SHELL[output]
    assert done.returncode == code
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == status
    assert message in done.stderr and "Traceback" not in done.stderr
    again = mtl_train("resume=run")
    assert again.code == 0, again.err


class _Full(io.StringIO):
    """A standard output on a full disk."""

    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("lost", [True, False])
def test_a_full_standard_output_is_not_the_output_folder(monkeypatch, capsys, lost):
    def work():
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if lost:
            patch.setattr(sys, "stdout", _Full())
        with pytest.raises(SystemExit) as end:
            exit_on_failure(work, False)
    assert end.value.code == MISTAKE
    assert ("the standard output: found No space" in capsys.readouterr().err) == lost
