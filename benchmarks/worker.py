"""The worker process of a benchmark: set-up, then steps on request."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import torch

from benchmarks.clock import timed
from benchmarks.file_prediction import ProjectFilePrediction
from benchmarks.project import ProjectPrediction, ProjectTraining, prepare
from benchmarks.records import Ready, Round, StepWork
from benchmarks.worker_pipe import serve
from benchmarks.workloads import FOLDER
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.utils.device import peak_memory, reset_peak_memory


@dataclass(frozen=True)
class Job:
    """A worker's job, in values that can be sent to another process.

    Attributes:
        kind: as in :class:`~benchmarks.workloads.Variant`.
        work: as in :class:`~benchmarks.workloads.Workload`.
        overrides: all overrides, also those of the data.
        mode: mode of a plain loop (:mod:`benchmarks.plain_loops`); None takes the defaults.
    """

    kind: str
    work: str
    overrides: tuple[str, ...]
    mode: tuple[str, ...] | None = None


class Loop(Protocol):
    """Numbered steps of training or prediction.

    Attributes:
        how: chosen precision, and for a plain loop the attention function.
    """

    device: torch.device

    @property
    def how(self) -> str: ...
    def step(self, number: int) -> None: ...
    def work(self, number: int) -> StepWork: ...


def run_steps(connection: Connection, job: Job) -> None:
    """Sends :class:`Ready` after set-up, and a :class:`Round` for each number of steps."""
    serve(connection, lambda: _run_steps(connection, job))


def choose_mode(connection: Connection, job: Job) -> None:
    """Sends the fastest mode of a plain loop on this machine.

    On a GPU a second message follows some tens of seconds later: the same mode, or compiled layers
    or the package flash-attn if faster. A process of its own, so that memory of the slower modes is
    no part of the loop's peak.
    """
    serve(connection, lambda: _choose_mode(connection, job))


def _run_steps(connection: Connection, job: Job) -> None:
    start = time.perf_counter()
    with _loop(job) as loop:
        gc.collect()
        reset_peak_memory(loop.device)
        resting = resting_memory(loop.device)
        warm_up_s = 0.0
        if isinstance(loop, ProjectTraining):
            warm_up_s = timed(loop.device, loop.warm_up)
        connection.send(Ready(loop.how, time.perf_counter() - start, warm_up_s, resting))
        done = 0
        while steps := connection.recv():
            numbers = range(done, done + steps)
            seconds = tuple(timed(loop.device, partial(loop.step, n)) for n in numbers)
            work = tuple(loop.work(n) for n in numbers)
            connection.send(Round(seconds, work, peak_memory(loop.device)))
            done += steps


def _choose_mode(connection: Connection, job: Job) -> None:
    from benchmarks.plain_loops import PlainLoop, fastest_mode, gpu_mode

    with _loop(job) as loop:
        assert isinstance(loop, PlainLoop)
        mode = fastest_mode(loop)
        connection.send(mode)
        if loop.device.type == "cuda":
            connection.send(gpu_mode(loop, mode))


@contextmanager
def _loop(job: Job) -> Iterator[Loop]:
    """The loop of a job, within the lifetime of the folder that its overrides may name."""
    with TemporaryDirectory() as folder:
        run_folder = Path(folder) / "run"
        words = [text.replace(FOLDER, folder) for text in job.overrides]
        yield _make(job, *prepare(words, run_folder), run_folder)


def _make(job: Job, run_spec: RunSpec, inputs: RunInputs, folder: Path) -> Loop:
    if job.kind == "project":
        if job.work == "predict_file":
            return ProjectFilePrediction(run_spec, inputs, folder)
        kind = ProjectPrediction if job.work == "predict" else ProjectTraining
        return kind(run_spec, inputs)
    # Imported here, so that the project's process does not load transformers.
    if job.work == "predict_file":
        from benchmarks.plain_file import PlainFilePrediction

        return PlainFilePrediction(run_spec, inputs, folder, job.mode)
    from benchmarks.plain_loops import make_plain

    return make_plain(run_spec, inputs, job.kind, job.work, job.mode)


def resting_memory(device: torch.device) -> int:
    """Resident bytes of this process; 0 for a GPU's allocator, or without Linux."""
    path = Path("/proc/self/status")
    if device.type == "cuda" or not path.is_file():
        return 0
    (line,) = [row for row in path.read_text().splitlines() if row.startswith("VmRSS")]
    return int(line.split()[1]) * 1024
