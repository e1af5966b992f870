"""How a child process answers its parent."""

import logging
from collections.abc import Callable
from multiprocessing.connection import Connection

from benchmarks.records import Failed
from mtl_sharing.utils.device import set_threads


def answer(connection: Connection, work: Callable[[], None]) -> None:
    """Does ``work`` until the parent hangs up; a mistake becomes the last answer."""
    # What the data and the config have to say is no part of a benchmark.
    logging.disable(logging.WARNING)
    set_threads(None)
    try:
        work()
    except (ConnectionError, EOFError, KeyboardInterrupt):
        return
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        connection.send(Failed(f"{type(error).__name__}: {reason}"))
