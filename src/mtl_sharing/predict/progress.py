"""What a person sees while rows are predicted: a live line on a terminal, quiet lines elsewhere."""

import logging
import time

from rich import get_console
from rich.progress import Progress, SpinnerColumn, TextColumn

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
