"""Keeps values of asked keys (``config/asked.py``) out of a run's log, messages and predictions."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from mtl_sharing.config.asked import hide
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.errors import UserError

Examples = Mapping[str, Sequence[Example]]


@contextmanager
def hiding(hidden: Mapping[str, str]) -> Iterator[None]:
    """Within the block, lines of log files and errors have the text of an asked key, not its value.

    Args:
        hidden: the texts by value.
    """

    def show(record: logging.LogRecord) -> bool:
        record.msg, record.args = hide(record.getMessage(), hidden), None
        return True

    handlers = [h for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)]
    handlers = handlers if hidden else []
    for handler in handlers:
        handler.addFilter(show)
    try:
        yield
    except UserError as error:
        if not hidden:
            raise
        parts = (error.where, str(error.found), error.allowed)
        raise type(error)(*(hide(part, hidden) for part in parts)) from error.__cause__
    finally:
        for handler in handlers:
            handler.removeFilter(show)


def with_hidden_ids(examples: Examples, hidden: Mapping[str, str]) -> Examples:
    """The examples; their ids, which name files, have the text of an asked key, not its value."""
    if not hidden:
        return examples
    return {
        task: [replace(row, id=hide(row.id, hidden)) for row in rows]
        for task, rows in examples.items()
    }
