"""TensorBoard: a run's figures as events in its folder."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.api_pb2 import (
    STATUS_FAILURE,
    STATUS_SUCCESS,
    STATUS_UNKNOWN,
)
from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG, create_summary_metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams

from mtl_sharing.tracking.tracker import EVERY_ROW, RunDescription

FOLDER = "tensorboard"
_VERSION = "brain.Event:2"
_STATUS = {"finished": STATUS_SUCCESS, "failed": STATUS_FAILURE, "pruned": STATUS_UNKNOWN}


class EventFile:
    """A new event file in the run's ``tensorboard/``; a resumed run has one for each start.

    Written at once, and not by a thread as the package's own writer does, so that a row that was
    told is there after a kill, and a failed write raises where it happens.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, run: RunDescription) -> None:
        folder = run.folder / FOLDER
        folder.mkdir(exist_ok=True)
        old = sorted(folder.glob("events.out.tfevents.*"))
        self._rows = sum(map(_count_rows, old))
        # The names are read in their order, so that a later start comes after the earlier ones.
        name = f"events.out.tfevents.{time.time_ns():020d}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._write(Event(file_version=_VERSION))
        if not old:
            self._settings(run)

    def _settings(self, run: RunDescription) -> None:
        """For the view of hyperparameters, once; the figure to compare there is the performance."""
        words = {f"run.{name}": value for name, value in run.tags.items()}
        settings = {name: _plain(value) for name, value in run.settings.items()}
        experiment, start, _ = hparams(words | settings, {"performance": 0.0})
        self._write(Event(summary=experiment))
        self._write(Event(summary=start))

    def rows(self) -> int:
        """How many rows the event files of earlier starts hold."""
        return self._rows

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """One event: a figure each, in single precision, as TensorBoard's scalars are."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self._write(Event(step=step, summary=Summary(value=values)))

    def end(self, status: str) -> None:
        """Says how the session ended. A stopped run goes on, so its session stays open."""
        if status in _STATUS:
            end = SessionEndInfo(status=_STATUS[status], end_time_secs=time.time())
            data = create_summary_metadata(HParamsPluginData(session_end_info=end))
            value = Summary.Value(tag=SESSION_END_INFO_TAG, metadata=data)
            self._write(Event(summary=Summary(value=[value])))

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        with self._path.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())


def _count_rows(path: Path) -> int:
    """Rows in an event file; one that a kill has left half written is none."""
    return sum(
        any(value.tag == EVERY_ROW for value in event.summary.value)
        for event in EventFileLoader(str(path)).Load()
    )


def _plain(value: Any) -> bool | int | float | str:
    return value if isinstance(value, (bool, int, float, str)) else str(value)
