"""Values of interpolated keys are in no log file and no error, and other handlers see all."""

import logging

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.job.hiding import hiding

HIDDEN = {"/data/hunter2": "${oc.env:PLACE}"}


@pytest.fixture
def log_file(tmp_path):
    handler = logging.FileHandler(tmp_path / "train.log")
    handler.setFormatter(logging.Formatter("[%(name)s] %(message)s"))
    logging.getLogger().addHandler(handler)
    yield tmp_path / "train.log"
    logging.getLogger().removeHandler(handler)
    handler.close()


def test_a_log_file_has_the_text_also_in_a_traceback(log_file, caplog):
    log = logging.getLogger("mine")
    with hiding(HIDDEN):
        try:
            raise ValueError("no /data/hunter2/x")
        except ValueError:
            log.exception("failed in %s", "/data/hunter2")
    log.warning("after /data/hunter2")
    inside, _, after = log_file.read_text().rpartition("[mine]")
    assert inside.startswith("[mine] failed in ${oc.env:PLACE}\nTraceback")
    assert "ValueError: no ${oc.env:PLACE}/x" in inside and "hunter2" not in inside
    assert after == " after /data/hunter2\n"
    # The record is as it was for others.
    assert caplog.records[0].msg == "failed in %s" and caplog.records[0].args == ("/data/hunter2",)
    assert "no /data/hunter2/x" in caplog.text


@pytest.mark.parametrize("error", [
    FileNotFoundError(2, "No such file", "/data/hunter2/x"),
    FileNotFoundError(2, "No such file", b"/data/hunter2/x"),
    OSError(18, "Cross-device link", "a", None, "/data/hunter2/x"),
    OSError("no file /data/hunter2/x"), OSError(5, "/data/hunter2 is gone"),
    UserError("data_dir", "/data/hunter2", "another"),
])  # fmt: skip
def test_an_error_has_the_text(error):
    with pytest.raises(type(error)) as caught, hiding(HIDDEN):
        raise error
    assert "hunter2" not in str(caught.value) and "${oc.env:PLACE}" in str(caught.value)
