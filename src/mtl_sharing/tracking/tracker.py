"""The interface of a tracker, and the description of a run that it receives."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

# A column that every row of metrics.csv has, so that trackers can count rows.
EVERY_ROW = "train_s"


@dataclass(frozen=True)
class RunDescription:
    """Folder of a run, its settings by dotted key, and tags such as its regime and seed."""

    folder: Path
    settings: Mapping[str, Any]
    tags: Mapping[str, str]


class Tracker(Protocol):
    """Receives a run's metrics. An exception disables the tracker; it never stops the run."""

    def rows(self) -> int:
        """Number of rows of this run that the tracker holds from earlier starts."""

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Stores metrics of a step durably: after a return a kill loses none of them."""

    def end(self, status: str) -> None:
        """Ends the run as ``finished``, ``stopped``, ``pruned`` or ``failed``."""
