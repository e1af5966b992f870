"""Serves requests over the pipe of a worker process."""

import logging
from collections.abc import Callable
from multiprocessing.connection import Connection

from benchmarks.records import Failure
from mtl_sharing.utils.device import set_threads


def serve(connection: Connection, work: Callable[[], None]) -> None:
    """Runs ``work`` until the parent closes the pipe; an exception becomes the last message."""
    # Warnings about data and config do not belong to a benchmark.
    logging.disable(logging.WARNING)
    set_threads(None)
    try:
        work()
    except (ConnectionError, EOFError, KeyboardInterrupt):
        return
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        connection.send(Failure(f"{type(error).__name__}: {reason}"))
