"""An interrupt is told in one line, also where somebody's clearing up has made an error of it."""

import pytest

from mtl_sharing.cli.exit import INTERRUPTED, MISTAKE, explain
from mtl_sharing.errors import UserError
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
