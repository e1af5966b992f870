"""Commands that leave nothing half written stop alike by Ctrl-C and by SIGTERM."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mtl_sharing.cli.failures import exit_on_failure

_STOPPED = "stopped; no file is left half written"


def run_command(work: Callable[[], None], debug: bool, program: str) -> None:
    """Does ``work``; both signals end it as Ctrl-C does, once its temporary files are gone.

    Takes and raises what :func:`exit_on_failure` does.
    """
    with _interruptible():
        exit_on_failure(work, debug, program, _STOPPED)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Within a block both signals raise KeyboardInterrupt."""
    stop = signal.default_int_handler
    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
