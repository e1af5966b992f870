"""TensorBoard: a run's metrics as events in its folder."""

import time
from collections.abc import Mapping
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS, STATUS_UNKNOWN
from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG, create_summary_metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from mtl_sharing.run_folder.layout import TENSORBOARD, TENSORBOARD_ROWS
from mtl_sharing.run_folder.manifest import read_listed_object, replace_listed_json
from mtl_sharing.tracking.settings import EVERY_ROW, RunDescription

_STATUS = {"finished": STATUS_SUCCESS, "failed": STATUS_FAILURE, "pruned": STATUS_UNKNOWN}


class TensorboardRun:
    """Events in the run's ``tensorboard/``, in a new file for each start of the run.

    Raises:
        OSError: the folder cannot be read or written.
    """

    def __init__(self, run: RunDescription) -> None:
        self._folder = run.folder
        self._count, step = 0, -1
        is_resumed = (run.folder / TENSORBOARD_ROWS).is_file()
        if is_resumed:
            record = read_listed_object(run.folder, TENSORBOARD_ROWS)
            self._count, step = record["rows"], record["step"]
        # A kill between a row and rows.json leaves events that will be written again: purged.
        writer = SummaryWriter(str(run.folder / TENSORBOARD), purge_step=step + 1)
        self._writer: Any = writer  # torch annotates its file_writer as None
        if not is_resumed:
            self._add_settings(run)
            replace_listed_json(self._folder, TENSORBOARD_ROWS, {"rows": 0, "step": step})

    def _add_settings(self, run: RunDescription) -> None:
        """Adds the config for the view of hyperparameters, which compares the performance."""
        # Not add_hparams: it would mark the run as finished at its start, and add a metric's value.
        settings: dict[str, Any] = {f"run.{name}": tag for name, tag in run.tags.items()}
        for name, value in run.settings.items():
            settings[name] = value if isinstance(value, bool | int | float | str) else str(value)
        for summary in hparams(settings, {"performance": 0.0})[:2]:
            self._writer.file_writer.add_summary(summary)

    def rows(self) -> int:
        """Number of rows written so far, at earlier starts too."""
        return self._count

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes a scalar for each metric, in single precision as TensorBoard has it."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()
        if EVERY_ROW in metrics:
            self._count += 1
            replace_listed_json(self._folder, TENSORBOARD_ROWS, {"rows": self._count, "step": step})

    def end(self, status: str) -> None:
        """Records how the run ended. A stopped run resumes, so its session stays open."""
        if status in _STATUS:
            end = SessionEndInfo(status=_STATUS[status], end_time_secs=time.time())
            metadata = create_summary_metadata(HParamsPluginData(session_end_info=end))
            value = Summary.Value(tag=SESSION_END_INFO_TAG, metadata=metadata)
            self._writer.file_writer.add_summary(Summary(value=[value]))
        self._writer.close()
