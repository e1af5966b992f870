"""A log file that is a regular file, and lines without control characters."""

import logging
import os

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.utils.logging import ConsoleHandler, RegularFileHandler, lines_on_stderr
from mtl_sharing.utils.terminal import output_options

TITLE = "\x1b]0;mine\x07\r\x9b31m"


def record(text):
    return logging.LogRecord("mtl_sharing", logging.INFO, __file__, 1, text, None, None)


def test_lines_are_appended(tmp_path):
    path = tmp_path / "train.log"
    path.write_text("before\n")
    with_handler = RegularFileHandler(path)
    with_handler.emit(record(f"é {TITLE}"))
    with_handler.close()
    assert path.read_text("utf-8") == "before\né \\x1b]0;mine\\x07\\r\\x9b31m\n"


@pytest.mark.parametrize("kind", ["a link", "a pipe", "a folder"])
def test_no_link_is_followed_and_no_pipe_waited_for(tmp_path, kind):
    path = tmp_path / "train.log"
    if kind == "a link":
        path.symlink_to(tmp_path / "victim")
    elif kind == "a pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(UserError, match=f"train.log: found {kind}; allowed: a regular file"):
        RegularFileHandler(path)
    assert not (tmp_path / "victim").exists()


def test_the_console_shows_control_characters(capsys):
    ConsoleHandler().emit(record(f"[b]:bug: {TITLE}"))
    assert capsys.readouterr().err == "[b]:bug: \\x1b]0;mine\\x07\\r\\x9b31m\n"


@pytest.mark.parametrize("error", [UnicodeEncodeError("ascii", "ü", 0, 1, "no"), ValueError("no")])
def test_a_line_that_cannot_be_shown_ends_nothing(monkeypatch, capsys, error):
    def fail(text, console):
        raise error

    monkeypatch.setattr(logging, "raiseExceptions", True)
    monkeypatch.setattr("mtl_sharing.utils.logging.show", fail)
    ConsoleHandler().emit(record("lost"))
    assert "Logging error" in capsys.readouterr().err


def test_a_line_with_a_wrong_argument_ends_nothing(monkeypatch, capsys):
    monkeypatch.setattr(logging, "raiseExceptions", True)
    wrong = record("%d steps")
    wrong.args = ("x",)
    ConsoleHandler().emit(wrong)
    assert "Logging error" in capsys.readouterr().err


def test_a_quiet_command_shows_warnings_alone(capsys):
    warning = record("low on room")
    warning.levelno = logging.WARNING
    with output_options(quiet=True, as_json=False):
        for line in (record("step 3 of 7"), warning):
            ConsoleHandler().emit(line)
    assert capsys.readouterr() == ("", "low on room\n")


def test_lines_are_shown_once_where_no_logging_is_set_up(monkeypatch, capsys):
    log = logging.getLogger("alone")
    monkeypatch.setattr(log, "propagate", False)  # the tests' own logging
    for _ in range(2):
        with lines_on_stderr("alone"):
            logging.getLogger("alone.inner").info("step %d %s", 1, TITLE)
        log.info("after")
    assert capsys.readouterr().err == "step 1 \\x1b]0;mine\\x07\\r\\x9b31m\n" * 2
    assert log.handlers == [] and log.level == logging.NOTSET


def test_logging_that_is_set_up_is_left_alone(capsys, caplog):
    with lines_on_stderr("mtl_sharing"):
        logging.getLogger("mtl_sharing").warning("once")
    assert caplog.messages == ["once"] and capsys.readouterr().err == ""
