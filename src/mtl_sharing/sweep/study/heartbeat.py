"""Heartbeats of trials: which process works on a trial, and whether it still does.

The process responsible for a running trial (the sweep until the trial's job begins, then the job)
writes a heartbeat into the study every few seconds. A trial whose heartbeat stops changing is
lost: its process was killed or its machine is gone. Clocks of different machines are not compared.
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

BEAT_S = 5.0
IDLE_HEARTBEAT = {"host": "", "pid": 0, "start": None, "beat": 0, "job": False}
"""Heartbeat of an idle trial, whose job has finished or is queued again.

It names no process and never goes stale: the sweep responsible for the trial replaces it.
"""


def heartbeat(beat: int, job: bool) -> dict[str, Any]:
    """A heartbeat of this process: the trial's job, or else the sweep on behalf of the trial."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "start": _start(pid), "beat": beat,
            "job": job}  # fmt: skip


def _start(pid: int) -> str | None:
    """The system's start time of a process, which distinguishes it from a later one of its id."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return None


def process_is_gone(beat: Mapping[str, Any] | None) -> bool:
    """Whether the process of a heartbeat ran on this machine and has ended."""
    if not beat or beat["host"] != socket.gethostname():
        return False
    try:
        os.kill(beat["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return beat["start"] is not None and _start(beat["pid"]) != beat["start"]


class StaleTrialDetector:
    """Tracks when each trial's heartbeat was last seen to change.

    Args:
        since: when heartbeats became readable, by the monotonic clock; silence before is void.
    """

    def __init__(self, grace_s: float, since: Callable[[], float] = lambda: -math.inf) -> None:
        self._grace, self._since = grace_s, since
        self._seen: dict[int, tuple[Any, float]] = {}

    def is_lost(self, number: int, beat: Mapping[str, Any] | None) -> bool:
        """Whether no process works on a running trial any more, by its latest heartbeat."""
        now = time.monotonic()
        if number not in self._seen or beat != self._seen[number][0]:
            self._seen[number] = beat, now
        silent_since = max(self._seen[number][1], self._since())
        return process_is_gone(beat) or now - silent_since > self._grace

    def age(self, number: int) -> float:
        """Seconds since the heartbeat of a tracked trial was seen to change."""
        return time.monotonic() - self._seen[number][1]

    def forget(self, number: int) -> None:
        """Restarts the grace period of a trial that was resumed."""
        self._seen.pop(number, None)


class HeartbeatThread:
    """Calls ``write(beat)`` at once, then every few seconds from its own thread."""

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
            with suppress(Exception):  # a missed beat is harmless: the next one may succeed
                self._write(beat)
