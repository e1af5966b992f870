"""Exceptions that end a run without being bugs, and checks that raise UserError."""

import errno
import math
from collections.abc import Iterable
from difflib import get_close_matches
from unicodedata import normalize

_LONGEST = 2000
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, quota or limit that takes no more."""
_STORAGE = (
    *FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE,
    errno.EEXIST, errno.ENOTDIR,
)  # fmt: skip


class UserError(Exception):
    """A mistake that the user can correct; shown as one message without a traceback.

    Args:
        where: the config field, or ``file:line``, of the mistake.
        found: the value found there.
        allowed: the values allowed, or what to do instead.
    """

    def __init__(self, where: str, found: object, allowed: str) -> None:
        text = str(found)
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]}... ({len(text):,} characters)"
        super().__init__(f"{where}: found {text}; allowed: {allowed}")
        self.where = where
        self.found = found
        self.allowed = allowed

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        # Unpickled in another process, an exception is made from its message alone by default.
        return type(self), (self.where, str(self.found), self.allowed)


class FolderInUse(UserError):
    """Another process uses the run's folder."""


class Pruned(Exception):
    """A trial ended early because others perform better.

    Args:
        percent: finished share of its training.
        performance: its performance there; None before the training.
    """

    def __init__(self, percent: int, performance: float | None, reason: str) -> None:
        super().__init__(percent, performance, reason)
        self.percent = percent
        self.performance = performance
        self.reason = reason


class SweepStopped(KeyboardInterrupt):
    """A sweep was interrupted; its running trials save their state."""


class Stopped(KeyboardInterrupt):
    """The run in the given folder was interrupted (Ctrl-C, SIGTERM) and has saved its state.

    Not an ``Exception``, so that a sweep does not count it as a failed job.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is an interrupt, or was raised while one was handled.

    An interrupt while Hydra opens a config file becomes an UnboundLocalError in its ``finally``.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def storage_error(error: BaseException | None) -> OSError | None:
    """The error of a disk or folder (full, not writable, a file in its place) behind an error.

    None for any other error, such as that of a missing file or of a connection.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _STORAGE:
            return error
        error = error.__cause__
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of a device or of the machine was too small."""
    named = type(error).__name__ == "OutOfMemoryError"  # torch's, which this floor does not load
    return named or isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def check_range(where: str, value: float, low: float, high: float = math.inf) -> None:
    """Raises UserError unless ``low <= value <= high`` and the value is finite."""
    if not (low <= value <= high and math.isfinite(value)):
        allowed = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
        raise UserError(where, value, allowed)


def check_above(where: str, value: float, low: float) -> None:
    """Raises UserError unless ``value`` is finite and above ``low``."""
    if not (value > low and math.isfinite(value)):
        raise UserError(where, value, f"a finite number above {low:g}")


def check_rate(where: str, rate: float) -> None:
    """Raises UserError unless ``0 <= rate < 1``."""
    if not 0 <= rate < 1:
        raise UserError(where, rate, "0 up to, not with, 1")


def check_known(where: str, name: str, names: Iterable[str]) -> None:
    """Raises UserError unless ``name`` is one of ``names``; the message suggests the nearest."""
    allowed = list(names)
    if name not in allowed:
        raise UserError(where, name + did_you_mean(name, allowed), one_of(allowed))


def check_different(where: str, names: Iterable[str]) -> None:
    """Raises UserError for a name that occurs twice, in whatever Unicode form."""
    seen: dict[str, str] = {}
    for name in names:
        form = normalize("NFC", name)
        if form in seen:
            first = seen[form]
            forms = "" if first == name else f" ({_code_points(first)} and {_code_points(name)})"
            raise UserError(where, f"{name!r} twice{forms}", "each name only once")
        seen[form] = name


def _code_points(text: str) -> str:
    return " ".join(f"U+{ord(letter):04X}" for letter in text)


def one_of(names: Iterable[str]) -> str:
    """The names as a readable list, for the ``allowed`` part of an error."""
    return ", ".join(names)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The hint `` (nearest: x)`` if one of ``names`` resembles ``name``, else an empty text.

    Where one of the two is not ASCII, the hint tells them apart: letters may look alike.
    """
    near = get_close_matches(name, list(names), n=1, cutoff=0.4)
    if not near:
        return ""
    is_plain = name.isascii() and near[0].isascii()
    return f" (nearest: {near[0]}{'' if is_plain else f', {near[0]!a} not {name!a}'})"


def check_finite(what: str, value: float, when: str) -> None:
    """Raises UserError for a loss or penalty that is NaN or infinite."""
    if not math.isfinite(value):
        allowed = "a finite number: try a lower optimizer.lr, optimizer.clip=1 or precision fp32"
        raise UserError(what, f"{value} {when}", allowed)
