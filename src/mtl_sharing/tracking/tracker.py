"""A tracker: what it is told of a run, and what it must do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

# A column that every row of metrics.csv has, by which a tracker counts those it was told.
EVERY_ROW = "train_s"


@dataclass(frozen=True)
class RunDescription:
    """What a tracker is told of a run once.

    Attributes:
        settings: the config, each value by its dotted key.
        tags: words by which people look for a run.
    """

    folder: Path
    settings: Mapping[str, Any]
    tags: Mapping[str, str]


class Tracker(Protocol):
    """One that is told of a run; whatever it raises ends the telling, not the run."""

    def rows(self) -> int:
        """How many rows of this run it was told, before a stop."""

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Takes figures at a step, all or none, and keeps them whatever happens to the process."""

    def end(self, status: str) -> None:
        """Closes it: the run is ``finished``, ``stopped``, ``pruned`` or ``failed``."""
