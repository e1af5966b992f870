"""Signals that stop a training at its next step."""

import logging
import signal
import threading
import time
from types import FrameType
from typing import Any

from mtl_sharing.errors import Stopped
from mtl_sharing.utils.signals import REPEAT_S, stopping_signals, unanswered

log = logging.getLogger(__name__)

REQUEUE = signal.SIGUSR2
"""submitit's signal, which SLURM sends some time before a job's time limit."""


class StopSignals:
    """Records SIGINT, SIGTERM, SIGHUP and, where a launcher handles it, SIGUSR2 within a block.

    A block that ends with Stopped after SIGUSR2 passes that signal on to the launcher, which
    queues the job again.

    Attributes:
        received: the signal to stop for; None if there was none.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._first_at = 0.0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        # Python lets only the main thread set handlers.
        if threading.current_thread() is threading.main_thread():
            numbers = stopping_signals()
            self.received = signal.SIGTERM if unanswered() else self.received
            numbers += [REQUEUE] if callable(signal.getsignal(REQUEUE)) else []
            self._previous = {number: signal.signal(number, self.receive) for number in numbers}
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        # Restored first: the launcher may end this process, and other signals may follow.
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        requeue = self._previous.get(REQUEUE) if self.received == REQUEUE else None
        if isinstance(error, Stopped) and callable(requeue):
            requeue(REQUEUE, None)

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Handles a signal; a second key press raises KeyboardInterrupt at once."""
        # Only SIGINT counts: schedulers repeat SIGTERM.
        if self.received is None:
            self._first_at = time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._first_at > REPEAT_S:
            raise KeyboardInterrupt
        self.received = number if number == REQUEUE else self.received or number
        log.info("stopping; Ctrl-C to stop at once")
