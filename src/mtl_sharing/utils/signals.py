"""Signals that ask a process to stop: as exceptions, or remembered by a worker between its jobs."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a scheduler's request, and the end of the terminal."""
# Two SIGINTs so close together are one key press, forwarded by a parent process.
REPEAT_S = 1.0
_remembered = False


def stopping_signals() -> list[signal.Signals]:
    """The signals to handle: not SIGHUP where the caller ignores it, as ``nohup`` does."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [number for number in STOPPING if number != signal.SIGHUP or not ignored]


@contextmanager
def interrupts() -> Iterator[None]:
    """Within the block a signal to stop raises KeyboardInterrupt in the main thread, once.

    Later ones are dropped, so that they do not disturb the clean-up: schedulers repeat SIGTERM.
    Only another Ctrl-C raises again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _raise_once()
    previous = {number: signal.signal(number, handler) for number in stopping_signals()}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _raise_once() -> Callable[[int, FrameType | None], None]:
    first_at: float | None = None

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first_at
        now = time.monotonic()
        if first_at is None or (number == signal.SIGINT and now - first_at > REPEAT_S):
            first_at = first_at or now
            raise KeyboardInterrupt

    return handle


def block_in_children() -> None:
    """Blocks the signals to stop in this thread, and in processes that it or its threads start.

    A worker that loads its modules would answer them with a traceback. They wait until its first
    job (:func:`interrupts_in_job`). The other threads of this process still get them.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


@contextmanager
def interrupts_in_job() -> Iterator[None]:
    """:func:`interrupts` for a job of a worker process; between jobs signals are remembered.

    Raises:
        KeyboardInterrupt: also for a signal that came before the block.
    """
    for number in stopping_signals():
        signal.signal(number, _remember)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    with interrupts():
        if _remembered:
            raise KeyboardInterrupt
        yield


def _remember(number: int, frame: FrameType | None) -> None:
    global _remembered
    _remembered = True
