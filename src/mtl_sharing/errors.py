"""The two ways a run ends early that are no bugs: a mistake of the user's, and their wish."""

import math
from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake that the user can mend, told in one message and without a traceback.

    Args:
        where: the config field, or ``file:line``, that holds the mistake.
        found: what stands there.
        allowed: what may stand there, or what to do instead.
    """

    def __init__(self, where: str, found: object, allowed: str) -> None:
        super().__init__(f"{where}: found {found}; allowed: {allowed}")
        self.where = where
        self.found = found
        self.allowed = allowed

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        # As it is, an exception is made anew from its message alone, as when a job of another
        # process hands it over.
        return type(self), (self.where, str(self.found), self.allowed)


class FolderInUse(UserError):
    """Another process works in the run's folder."""


class Pruned(Exception):
    """A trial ends early, since others do better.

    Args:
        percent: of its training that is done.
        performance: found there; None before the training.
    """

    def __init__(self, percent: int, performance: float | None, reason: str) -> None:
        super().__init__(percent, performance, reason)
        self.percent = percent
        self.performance = performance
        self.reason = reason


class SweepStopped(KeyboardInterrupt):
    """A sweep was asked to stop; its trials in flight have saved their state or will do so."""


class Stopped(KeyboardInterrupt):
    """The run was asked to stop (Ctrl-C, SIGTERM) and has saved its state; holds its folder.

    No ``Exception``: a sweep must not take it for one failed job among others.
    """


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is an interrupt, or what somebody's clearing up has made of one.

    Hydra closes a config file in a ``finally`` that an interrupt can reach before the file is
    open; what comes out is an UnboundLocalError in the interrupt's place.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


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
    """Raises UserError unless ``name`` is one of ``names``; the message has the nearest."""
    known = list(names)
    if name not in known:
        raise UserError(where, name + did_you_mean(name, known), one_of(known))


def one_of(names: Iterable[str]) -> str:
    """The names as a readable list, for the ``allowed`` part of an error."""
    return ", ".join(names)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` (nearest: x)`` for the known name that looks most like ``name``, else nothing."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" (nearest: {near[0]})" if near else ""


def check_finite(what: str, value: float, when: str) -> None:
    """Raises UserError where a loss or penalty has become NaN or infinite."""
    if not math.isfinite(value):
        allowed = "a finite number: try a lower optimizer.lr, optimizer.clip=1 or precision fp32"
        raise UserError(what, f"{value} {when}", allowed)
