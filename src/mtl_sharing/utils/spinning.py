"""How long OpenMP's threads spin while they wait for each other. No torch."""

import os
from contextlib import suppress
from pathlib import Path

_LOADAVG = Path("/proc/loadavg")
_BUSY_COUNT = "1000"


def limit_spinning(loadavg: Path = _LOADAVG) -> None:
    """Has waiting threads sleep soon where other processes keep half of the cores busy (Linux).

    libgomp reads the variable when torch is loaded. By default its threads spin for milliseconds,
    which is fastest on cores of their own. On a busy core they take the time of the thread that
    they wait for. Child processes inherit the choice. The user's GOMP_SPINCOUNT and OMP_WAIT_POLICY
    take precedence.
    """
    if "OMP_WAIT_POLICY" in os.environ or "GOMP_SPINCOUNT" in os.environ:
        return
    with suppress(OSError, ValueError, IndexError):
        running = int(loadavg.read_text().split()[3].split("/")[0])  # this process among them
        if running - 1 >= (os.cpu_count() or 1) / 2:
            os.environ["GOMP_SPINCOUNT"] = _BUSY_COUNT
