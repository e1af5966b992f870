"""Progress of long loops: a live bar on a terminal, log lines at long intervals elsewhere."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as bars

from mtl_sharing.utils.terminal import is_quiet, log_console

log = logging.getLogger(__name__)

LOG_INTERVAL_S = 10.0
_training_caption = "training"


def set_training_caption(caption: str) -> str:
    """Sets the caption of trainings that start from here on, and returns the one before."""
    global _training_caption
    before, _training_caption = _training_caption, caption
    return before


@contextmanager
def steps(first: str) -> Iterator[Callable[[str], object]]:
    """Shows on a terminal which step is under way; yields what is called with the next one."""
    console = log_console()
    if is_quiet():
        yield lambda step: None
        return
    with console.status(first) as status:
        yield status.update


class Progress:
    """Shows how much of a loop is done, how fast it is, and the time left.

    Args:
        caption: names the loop; None is the caption of trainings.
        total: units in all; None where their number is unknown.
        done: units that were done before this start.
    """

    def __init__(
        self, caption: str | None, total: int | None = None, unit: str = "steps", done: int = 0
    ) -> None:
        self.done, self._done_before, self._total = done, done, total
        self._caption = _training_caption if caption is None else caption
        self._unit = unit
        self._start = self._last_log = time.monotonic()
        name, detail = bars.TextColumn(self._caption), bars.TextColumn("{task.description}")
        count = (bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeRemainingColumn())
        columns = (bars.SpinnerColumn(), name) if total is None else (name, *count)
        # A total of 0 would leave an empty bar.
        hidden = is_quiet() or not log_console().is_terminal or total == 0
        self._bar = bars.Progress(
            *columns, detail, console=log_console(), transient=True, disable=hidden
        )
        self._task = self._bar.add_task("", total=total, completed=done)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def rate(self) -> float:
        """Units per second since the start."""
        return (self.done - self._done_before) / max(1e-9, self.seconds)

    def advance(self, count: int, detail: str = "", total: int | None = None) -> None:
        """Counts more units as done, shows ``detail`` and replaces ``total`` where one is given."""
        self.done += count
        self._total = self._total if total is None else total
        if self._total is None:
            detail = f"{self.done:,} {self._unit}  {self.rate:,.0f} {self._unit}/s  {detail}"
        self._bar.update(self._task, total=self._total, completed=self.done, description=detail)
        if self._bar.disable and time.monotonic() - self._last_log >= LOG_INTERVAL_S:
            self._last_log = time.monotonic()
            log.info("%s: %s", self._caption, self._with_count(detail).rstrip())

    def _with_count(self, detail: str) -> str:
        if self._total is None:
            return detail
        left = (self._total - self.done) / max(1e-9, self.rate)
        parts = (f"{self.done} of {self._total} {self._unit}", detail, f"{left:.0f} s left")
        return "  ".join(filter(None, parts))
