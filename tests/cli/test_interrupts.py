"""An interrupt is told in one line, also where somebody's clearing up has made an error of it."""

import errno
import io
import signal
import subprocess
import sys

import pytest

from mtl_sharing.cli.exit import INTERRUPTED, MISTAKE, READER_GONE, exit_on_failure, explain
from mtl_sharing.errors import UserError
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


SHELL = {"| true": (READER_GONE, ""), "| head -1": (READER_GONE, ""),
         "> /dev/full": (MISTAKE, "the standard output: found No space left")}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("output", SHELL)
def test_a_run_whose_output_is_lost_saves_its_state(mtl_train, tmp_path, output):
    words = (*QUICK, "trainer.eval_every=1", "hydra.run.dir=run")
    command = f"{sys.executable} -m mtl_sharing.cli.train {' '.join(words)} {output}"
    script = f"{command}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    code, message = SHELL[output]
    assert done.returncode == code
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
