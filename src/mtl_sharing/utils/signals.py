"""Signals that ask a process to stop: as exceptions, or remembered by a worker between its jobs."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a scheduler's request, and the end of the terminal."""
# Two SIGINTs so close together are one key press, forwarded by a parent process.
REPEAT_S = 1.0
_received_at: float | None = None


def stopping_signals() -> list[signal.Signals]:
    """The signals to handle: not SIGHUP where the caller ignores it, as ``nohup`` does."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [number for number in STOPPING if number != signal.SIGHUP or not ignored]


def unanswered() -> bool:
    """Whether a signal to stop came within :func:`interrupts` and nothing has ended it yet.

    Python drops an exception that a handler raises while it frees an object.
    """
    return _received_at is not None


@contextmanager
def interrupts() -> Iterator[None]:
    """Within the block a signal to stop raises KeyboardInterrupt in the main thread.

    While that is handled, more of them are dropped, so that they do not disturb the clean-up:
    schedulers repeat SIGTERM. Only another Ctrl-C raises again.
    """
    global _received_at
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, _interrupt) for number in stopping_signals()}
    try:
        yield
    finally:
        _received_at = None
        for number, before in previous.items():
            signal.signal(number, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _received_at
    before, now = _received_at, time.monotonic()
    _received_at = now if before is None else before
    again = number == signal.SIGINT and before is not None and now - before > REPEAT_S
    if again or not isinstance(sys.exception(), KeyboardInterrupt):
        raise KeyboardInterrupt


def block_in_children() -> None:
    """Blocks the signals to stop in this thread, and in processes that it or its threads start.

    A worker that loads its modules would answer them with a traceback. They wait until its first
    job (:func:`interrupts_in_job`). The other threads of this process still get them.
    """
    # Here, not above: most commands start no process.
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # unblocks them where it starts
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
        if unanswered():
            raise KeyboardInterrupt
        yield


def _remember(number: int, frame: FrameType | None) -> None:
    global _received_at
    _received_at = time.monotonic()
