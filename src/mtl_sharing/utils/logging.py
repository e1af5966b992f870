"""Logging: a console handler for use beside a progress bar, and quiet blocks."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich import get_console


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
        get_console().print(self.format(record), soft_wrap=True, markup=False, highlight=False)
