"""Keeps values of interpolated keys out of a run's log, messages and predictions."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from mtl_sharing.config.interpolations import hide
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.errors import UserError

Examples = Mapping[str, Sequence[Example]]


@contextmanager
def hiding(hidden: Mapping[str, str]) -> Iterator[None]:
    """Within the block, log files and errors have the text of an interpolated key, not its value.

    Args:
        hidden: the texts by value.
    """
    if not hidden:
        yield
        return
    handlers = [h for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)]
    formatters = [handler.formatter for handler in handlers]
    for handler in handlers:
        handler.setFormatter(_HidingFormatter(handler.formatter or logging.Formatter(), hidden))
    try:
        yield
    except OSError as error:
        _hide_in(error, hidden)
        raise
    except UserError as error:
        raise hidden_error(error, hidden) from error.__cause__
    finally:
        for handler, formatter in zip(handlers, formatters, strict=True):
            handler.setFormatter(formatter)


def hidden_error(error: UserError, hidden: Mapping[str, str]) -> UserError:
    """The error with texts of interpolated keys, not their values."""
    parts = (error.where, str(error.found), error.allowed)
    return type(error)(*(hide(part, hidden) for part in parts))


class _HidingFormatter(logging.Formatter):
    """Formats as another one does, tracebacks too, and leaves the record as it is."""

    def __init__(self, formatter: logging.Formatter, hidden: Mapping[str, str]) -> None:
        super().__init__()
        self._formatter, self._hidden = formatter, hidden

    def format(self, record: logging.LogRecord) -> str:
        return hide(self._formatter.format(record), self._hidden)


def _hide_in(error: OSError, hidden: Mapping[str, str]) -> None:
    error.args = tuple(hide(a, hidden) if isinstance(a, str) else a for a in error.args)
    for name in ("strerror", "filename", "filename2"):
        if isinstance(path := getattr(error, name), str | bytes | os.PathLike):
            setattr(error, name, hide(os.fsdecode(path), hidden))


def with_hidden_ids(examples: Examples, hidden: Mapping[str, str]) -> Examples:
    """The examples; ids, which name files, have texts of interpolated keys, not their values."""
    if not hidden:
        return examples
    return {
        task: [replace(row, id=hide(row.id, hidden)) for row in rows]
        for task, rows in examples.items()
    }
