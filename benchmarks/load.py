"""Endless loops that keep the cores busy beside a measurement."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LOOP = "print(flush=True)\nwhile True: pass"


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Runs this many processes with an endless loop during the block."""
    loops = [
        subprocess.Popen([sys.executable, "-S", "-c", _LOOP], stdout=subprocess.PIPE)
        for _ in range(processes)
    ]
    try:
        for loop in loops:
            assert loop.stdout is not None
            loop.stdout.readline()  # it has started
        yield
    finally:
        for loop in loops:
            with loop:
                loop.kill()
