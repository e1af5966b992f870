"""Logging: a console handler that spares the progress bar, and quiet blocks."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich import get_console


@contextmanager
def log_level(name: str, level: int) -> Iterator[None]:
    """Lets only messages from ``level`` on through the logger of this name, within a block."""
    log = logging.getLogger(name)
    before = log.level
    log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(before)


class ConsoleHandler(logging.Handler):
    """Log lines through rich's console, so that they do not tear the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the record as it is, in one line however long."""
        get_console().print(self.format(record), soft_wrap=True, markup=False, highlight=False)
