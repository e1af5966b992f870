"""Logging: handlers for the console and a run's log file, and quiet blocks."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

from mtl_sharing.utils.files import check_regular
from mtl_sharing.utils.terminal import printable, show


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
    """Prints log lines through rich's console, so that they do not tear a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the record as one line, however long."""
        show(self.format(record))


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
