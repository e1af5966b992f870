"""Signs of life of a trial: who works on it, and whether they still do.

Whoever is responsible for a running trial (the sweep until its job begins, then the job) writes
a mark into the study every few seconds. A trial whose mark has stood still for a while is lost:
its process was killed or its machine is gone. No clocks are compared, only marks.
"""

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

ALIVE = "alive"
BEAT_S = 5.0


def mark(beat: int, job: bool) -> dict[str, Any]:
    """This process's sign of life.

    Args:
        job: whether it is the trial's job, not the sweep on behalf of it.
    """
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "start": _start(pid), "beat": beat,
            "job": job}  # fmt: skip


def idle_heartbeat() -> dict[str, Any]:
    """The mark of a trial whose job has ended well or waits for its next turn: of no process.

    It never counts as gone; a sweep that knows the trial keeps it alive.
    """
    return {"host": "", "pid": 0, "start": None, "beat": 0, "job": False}


def _start(pid: int) -> str | None:
    """When a process began, as the system counts; tells it from a later one of the same number."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return None


def process_is_gone(found: Mapping[str, Any] | None) -> bool:
    """Whether the process of a mark was of this machine and has ended."""
    if not found or found["host"] != socket.gethostname():
        return False
    try:
        os.kill(found["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return found["start"] is not None and _start(found["pid"]) != found["start"]


class StaleTrialDetector:
    """Remembers when each trial's mark was last seen to change.

    Args:
        since: from when on marks could be seen at all, by the monotonic clock.
    """

    def __init__(self, grace_s: float, since: Callable[[], float] = lambda: -math.inf) -> None:
        self._grace, self._since = grace_s, since
        self._seen: dict[int, tuple[Any, float]] = {}

    def is_lost(self, number: int, found: Mapping[str, Any] | None) -> bool:
        """Whether nobody works on the running trial any more, by its latest mark."""
        now = time.monotonic()
        last, since = self._seen.get(number, (None, now))
        if number not in self._seen or found != last:
            since = now
            self._seen[number] = found, since
        return process_is_gone(found) or now - max(since, self._since()) > self._grace

    def age(self, number: int) -> float:
        """Seconds since the mark of a watched trial was seen to change."""
        return time.monotonic() - self._seen[number][1]

    def forget(self, number: int) -> None:
        """Begins anew with a trial that was taken up again."""
        self._seen.pop(number, None)


class HeartbeatThread:
    """Calls ``write(beat)`` every few seconds from a thread of its own, at once to begin with."""

    def __init__(self, write: Callable[[int], None], every_s: float = BEAT_S) -> None:
        self._write, self._every = write, every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "HeartbeatThread":
        self._write(0)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        beat = 0
        while not self._ended.wait(self._every):
            beat += 1
            # A beat that fails is missed; the next may come through.
            with suppress(Exception):
                self._write(beat)
