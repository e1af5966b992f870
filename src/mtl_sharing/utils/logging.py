"""Logging: handlers for the console and a run's log file, lost output, and quiet blocks."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from mtl_sharing.utils.files import check_regular
from mtl_sharing.utils.terminal import is_quiet, log_console, printable, show


@contextmanager
def log_level(name: str, level: int) -> Iterator[None]:
    """Sets the level of the logger ``name`` within a block."""
    log = logging.getLogger(name)
    before = log.level
    log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(before)


class ConsoleHandler(logging.Handler):
    """Prints log lines on the standard error, of a quiet command warnings and errors alone.

    They go through rich's console, so that they do not tear a progress bar. Where the output takes
    no more, the process is asked to stop, as by SIGTERM: what prints for nobody saves its state and
    ends.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the record as one line, however long."""
        if is_quiet() and record.levelno < logging.WARNING:
            return
        try:
            show(self.format(record), log_console())
        except (OSError, SystemExit) as error:
            lose_output(error, sys.stderr)
            if callable(signal.getsignal(signal.SIGTERM)):
                signal.raise_signal(signal.SIGTERM)
        except Exception:  # a line that cannot be shown ends no training
            self.handleError(record)


class RegularFileHandler(logging.FileHandler):
    """Appends log lines to a regular file; refuses a link, a pipe or a device of its name."""

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        with suppress(FileNotFoundError):
            check_regular(path)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags | os.O_CLOEXEC, mode=0o666)
        return open(descriptor, "a", encoding="utf-8", errors="backslashreplace")

    def format(self, record: logging.LogRecord) -> str:
        """The record's line without control characters."""
        return printable(super().format(record))


class _StderrHandler(logging.Handler):
    """Prints log lines to the standard error of the moment, which a progress bar may replace."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(printable(self.format(record)), file=sys.stderr, flush=True)
        except Exception:  # a line that cannot be shown ends no training
            self.handleError(record)


@contextmanager
def lines_on_stderr(name: str) -> Iterator[None]:
    """Shows the logger's lines within a block, if the program has set up no logging itself."""
    log = logging.getLogger(name)
    if log.hasHandlers():
        yield
        return
    handler = _StderrHandler()
    log.addHandler(handler)
    try:
        with log_level(name, logging.INFO):
            yield
    finally:
        log.removeHandler(handler)


_lost: OSError | None = None


def lose_output(error: BaseException, stream: TextIO | None = None) -> None:
    """Notes why the standard output, or ``stream``, takes no more, and drops what it gets later.

    Raises the error where it is another one.
    """
    global _lost
    # Of a pipe without a reader rich makes a SystemExit.
    cause = error.__context__ if isinstance(error, SystemExit) else error
    if not isinstance(cause, OSError):
        raise error
    _lost = cause
    with suppress(OSError):  # a stdout that a caller has replaced by an object in memory
        os.dup2(os.open(os.devnull, os.O_WRONLY), (stream or sys.stdout).fileno())


def take_lost_output(probe: bool) -> OSError | None:
    """Why an output took no more, if it did; of stdout also for what it still had to write.

    Args:
        probe: tries whether it takes an empty line.
    """
    global _lost
    try:
        print("\n" if probe else "", end="", flush=True)
    except OSError as error:
        lose_output(error)
    lost, _lost = _lost, None
    return lost
