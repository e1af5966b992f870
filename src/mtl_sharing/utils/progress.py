"""What a person sees while a run works: a live bar on a terminal, quiet lines elsewhere."""

import logging
import time
from collections.abc import Mapping

from rich import get_console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

log = logging.getLogger(__name__)

_QUIET_SECONDS = 10.0


class RowProgress:
    """Shows how many rows are done, and how many a second; their number is not known before."""

    def __init__(self, what: str) -> None:
        self.rows = 0
        self._what = what
        self._start = self._last = time.monotonic()
        columns = SpinnerColumn(), TextColumn("{task.description}")
        terminal = get_console().is_terminal
        self._line = Progress(*columns, transient=True, disable=not terminal)
        self._task = self._line.add_task(what, total=None)

    def __enter__(self) -> "RowProgress":
        self._line.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._line.stop()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    @property
    def words(self) -> str:
        """How far it is."""
        return f"{self.rows:,} rows  {self.rows / max(1e-9, self.seconds):,.0f} rows/s"

    def advance(self, rows: int) -> None:
        """After ``rows`` more of them."""
        self.rows += rows
        self._line.update(self._task, description=f"{self._what}  {self.words}")
        if self._line.disable and time.monotonic() - self._last >= _QUIET_SECONDS:
            self._last = time.monotonic()
            log.info("%s: %s", self._what, self.words)


# What the bar says it shows; a sweep says more.
_caption = "training"

# Lines elsewhere than on a terminal are at least this many seconds apart.
_QUIET_SECONDS = 10.0


def caption(words: str) -> str:
    """Names the trainings from here on; what they were called before."""
    global _caption
    before, _caption = _caption, words
    return before


class TrainingProgress:
    """Shows steps done, the tasks' losses, examples per second and time left."""

    def __init__(self, total: int, done: int) -> None:
        self._last = self._start = time.monotonic()
        self._first = done
        self._bar: Progress | None = None
        if get_console().is_terminal:
            columns = (TextColumn(_caption), BarColumn(), MofNCompleteColumn())
            text = TextColumn("{task.description}")
            self._bar = Progress(*columns, TimeRemainingColumn(), text, transient=True)
            self._task = self._bar.add_task("", total=total, completed=done)

    def __enter__(self) -> "TrainingProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, step: int, total: int, losses: Mapping[str, float], rate: float) -> None:
        """After a step.

        Args:
            step: its number, from 1.
            total: steps in all as it looks now: fewer where a phase has ended early.
            losses: of the tasks, smoothed.
            rate: examples a second in this step.
        """
        words = "  ".join(f"{task} {loss:.3f}" for task, loss in losses.items())
        text = f"loss {words}  {rate:.0f} examples/s"
        if self._bar:
            self._bar.update(self._task, total=total, completed=step, description=text)
        elif time.monotonic() - self._last >= _QUIET_SECONDS:
            self._last = time.monotonic()
            left = (self._last - self._start) / max(1, step - self._first) * (total - step)
            log.info("step %d of %d  %s  %.0f s left", step, total, text, left)


class FillingProgress:
    """Shows how many of ``total`` texts were done before the training."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._last = time.monotonic()
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        terminal = get_console().is_terminal
        self._bar = Progress(*columns, transient=True, disable=not terminal or not total)
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> "FillingProgress":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def advance(self, texts: int) -> None:
        """After ``texts`` more of them."""
        self._done += texts
        self._bar.update(self._task, completed=self._done)
        if self._bar.disable and time.monotonic() - self._last >= _QUIET_SECONDS:
            self._last = time.monotonic()
            log.info("%s: %d of %d texts", self._what, self._done, self._total)
