"""Panics of libraries written in Rust, as ordinary errors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from threading import Lock

_STDERR = 2
_holding = Lock()


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Turns a Rust panic into a RuntimeError, without the report that Rust writes to stderr.

    A panic arrives as a ``PanicException``, which no ``except Exception`` catches.
    """
    # One thread at a time: a second one would save the first one's file as its stderr.
    held = _hold_stderr() if _holding.acquire(blocking=False) else None
    panicked = False
    try:
        yield
    except BaseException as error:
        # Its class cannot be imported: each library has its own.
        panicked = type(error).__name__ == "PanicException"
        if not panicked:
            raise
        raise RuntimeError(str(error)) from None
    finally:
        if held is not None:
            _release_stderr(*held, replay=not panicked)
            _holding.release()


def _hold_stderr() -> tuple[int, int] | None:
    """Sends stderr to a file; returns stderr's and the file's descriptors, None without stderr."""
    try:
        stderr = os.dup(_STDERR)
    except OSError:
        _holding.release()
        return None
    if hasattr(os, "memfd_create"):
        held = os.memfd_create("stderr")
    else:
        with TemporaryFile(buffering=0) as file:
            held = os.dup(file.fileno())
    os.dup2(held, _STDERR)
    return stderr, held


def _release_stderr(stderr: int, held: int, replay: bool) -> None:
    """Restores stderr, and writes to it what it was sent meanwhile."""
    os.dup2(stderr, _STDERR)
    size = os.lseek(held, 0, os.SEEK_END)
    if replay and size:
        os.lseek(held, 0, os.SEEK_SET)
        os.write(stderr, os.read(held, size))
    os.close(stderr)
    os.close(held)
