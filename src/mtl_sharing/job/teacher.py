"""Outputs of separate models on their training texts: kept by them, learned from by other runs."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from mtl_sharing.errors import UserError
from mtl_sharing.evaluation.evaluate import raw_outputs
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.network import Network
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.run_folder.layout import AS_WRITTEN, TEACHER, TRAIN_OUTPUTS
from mtl_sharing.run_folder.manifest import check_listed, replace_listed
from mtl_sharing.score.reference import SEPARATE
from mtl_sharing.utils.files import expand_user
from mtl_sharing.utils.hashing import ROW_BYTES

log = logging.getLogger(__name__)

_KEY = "distillation.teacher"
_ALLOWED = "separate, or the folder of a finished run of separate models (sharing=individual)"
_ROWS, _OUTPUTS = "rows/", "outputs/"


@dataclass(frozen=True, eq=False)
class TrainOutputs:
    """Raw outputs of trained models on training texts, found by the digests of their rows.

    Attributes:
        arrays: for each task ``rows/TASK``, uint8 (E, 16), and ``outputs/TASK``, float32 (E, K).
        objectives: each task's loss in words, which gives the outputs their meaning.
    """

    arrays: Mapping[str, NDArray[Any]]
    objectives: Mapping[str, str]

    def holds(self, task: str) -> bool:
        """Whether the arrays of a task are there and fit together."""
        rows, outputs = (self.arrays.get(prefix + task) for prefix in (_ROWS, _OUTPUTS))
        if rows is None or outputs is None or outputs.ndim != 2:
            return False
        return rows.shape == (len(outputs), ROW_BYTES) and outputs.dtype == np.float32

    def of(
        self, task: str, objective: Objective, rows: NDArray[np.uint8] | None
    ) -> NDArray[np.float32]:
        """The outputs for these rows, (E, K), in their order.

        Args:
            rows: digests; None takes all rows of the teacher.

        Raises:
            UserError: rows without outputs, or outputs of another loss.
        """
        if (theirs := self.objectives.get(task)) != repr(objective):
            found = f"no outputs for {task}" if theirs is None else f"outputs of {theirs}"
            raise UserError(_KEY, found, f"those of {objective!r} for {task}")
        outputs = self.arrays[_OUTPUTS + task]
        if rows is None:
            return outputs
        numbers = {row.tobytes(): n for n, row in enumerate(self.arrays[_ROWS + task])}
        wanted = [numbers.get(row.tobytes(), -1) for row in rows]
        if missing := wanted.count(-1):
            found = f"no outputs for {missing} of {len(rows)} train rows of {task}"
            raise UserError(_KEY, found, "a run of separate models that had all of them in train")
        return outputs[wanted]


def write_train_outputs(
    folder: Path, run_spec: RunSpec, inputs: RunInputs, network: Network
) -> None:
    """Writes a trained network's outputs on the training texts into its run's folder."""
    arrays: dict[str, NDArray[Any]] = {}
    for task, data in inputs.train.items():
        arrays[_ROWS + task] = inputs.train_rows[task]
        arrays[_OUTPUTS + task] = raw_outputs(network, task, data, run_spec.runtime)
    objectives = {task: repr(one.objective) for task, one in run_spec.measures.items()}
    replace_listed(folder, {TRAIN_OUTPUTS: partial(save_file, arrays, metadata=objectives)})


def read_train_outputs(folder: Path) -> TrainOutputs:
    """The outputs that a run of separate models has left in its folder.

    Raises:
        UserError: a damaged file.
        OSError: there is none, or it cannot be read.
    """
    check_listed(folder, TRAIN_OUTPUTS)
    try:
        with safe_open(folder / TRAIN_OUTPUTS, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            found = TrainOutputs(arrays, file.metadata() or {})
    except SafetensorError as error:
        raise UserError(str(folder / TRAIN_OUTPUTS), str(error), AS_WRITTEN) from None
    if not all(map(found.holds, found.objectives)):
        raise UserError(str(folder / TRAIN_OUTPUTS), "other arrays than expected", AS_WRITTEN)
    return found


def needs_baseline(run_spec: RunSpec, folder: Path) -> bool:
    """Whether the run in ``folder`` has yet to ask separate models of its own settings."""
    distillation = run_spec.config.distillation
    separate = distillation.enabled and distillation.teacher == SEPARATE
    return separate and not (folder / TEACHER).is_file()


def with_teacher(
    run_spec: RunSpec, inputs: RunInputs, folder: Path, separate: TrainOutputs | None
) -> RunInputs:
    """The inputs with the teacher's outputs on the training texts, where the run has a teacher.

    The run keeps them in its folder, so that it goes on with the same ones.

    Args:
        separate: those of separate models with the run's own settings, where they are at hand.

    Raises:
        UserError: there is no teacher, or not for every row.
    """
    if not run_spec.config.distillation.enabled:
        return inputs
    name = str(TEACHER)
    if not (folder / name).is_file():
        teacher = _teacher(run_spec, separate)
        # The key of separate models digests the run's rows in their order, as they are encoded:
        # these are its own, also where their texts were written in another way.
        rows = {} if teacher is separate else inputs.train_rows
        outputs = {
            task: teacher.of(task, measure.objective, rows.get(task))
            for task, measure in run_spec.measures.items()
        }
        replace_listed(folder, {name: partial(save_file, outputs)})
    check_listed(folder, name)
    outputs = load_file(folder / name)
    train = {task: replace(data, teacher=outputs[task]) for task, data in inputs.train.items()}
    return replace(inputs, train=train)


def _teacher(run_spec: RunSpec, separate: TrainOutputs | None) -> TrainOutputs:
    teacher = run_spec.config.distillation.teacher
    if teacher == SEPARATE:
        if separate is None:
            found = "separate, and separate models are not trained here"
            raise UserError(_KEY, found, "the folder of a finished run of separate models")
        return separate
    try:
        return read_train_outputs(expand_user(_KEY, teacher))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(_KEY, f"{teacher}, which has no {TRAIN_OUTPUTS}", _ALLOWED) from None
