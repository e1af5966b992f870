"""The child's side of a race: sets itself up, then does steps whenever it is told to."""

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

from benchmarks.answers import answer
from benchmarks.clock import timed
from benchmarks.project import ProjectPrediction, ProjectTraining, prepare
from benchmarks.records import Load, Ready, Turn
from benchmarks.workloads import FOLDER
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.utils.memory import peak_memory, reset_peak_memory

UNTIMED = 2


@dataclass(frozen=True)
class Assignment:
    """What a contestant does, in values that travel to another process.

    Attributes:
        kind: as in :class:`~benchmarks.workloads.Contender`.
        work: ``train`` or ``predict``.
        overrides: all of them, the data's included.
        way: precision and attention of a plain loop; None takes the usual ones.
    """

    kind: str
    work: str
    overrides: tuple[str, ...]
    way: tuple[str, str] | None = None


class Contestant(Protocol):
    """Steps of one kind, by number.

    Attributes:
        how: what it chose, in words.
    """

    device: torch.device

    @property
    def how(self) -> str: ...
    def step(self, number: int) -> None: ...
    def load(self, number: int) -> Load: ...


def race(connection: Connection, assignment: Assignment) -> None:
    """Sets up, says :class:`Ready`, and answers each number of steps with a :class:`Turn`."""
    answer(connection, lambda: _race(connection, assignment))


def choose_way(connection: Connection, assignment: Assignment) -> None:
    """Says the way in which a plain loop is fastest here.

    In a process of its own: what the slower ways leave in memory is no part of the loop's peak.
    """
    answer(connection, lambda: connection.send(_fastest_way(assignment)))


def _race(connection: Connection, assignment: Assignment) -> None:
    began = time.perf_counter()
    with _made(assignment) as contestant:
        gc.collect()
        reset_peak_memory(contestant.device)
        resting = resting_memory(contestant.device)
        for number in range(UNTIMED):
            contestant.step(number)
        connection.send(Ready(contestant.how, time.perf_counter() - began, resting))
        done = UNTIMED
        while steps := connection.recv():
            connection.send(_turn(contestant, done, steps))
            done += steps


@contextmanager
def _made(assignment: Assignment) -> Iterator[Contestant]:
    """The contestant, for as long as the folder lives that its overrides may name."""
    with TemporaryDirectory() as folder:
        words = [word.replace(FOLDER, folder) for word in assignment.overrides]
        yield _make(assignment, *prepare(words))


def _make(assignment: Assignment, run_spec: RunSpec, inputs: RunInputs) -> Contestant:
    if assignment.kind == "project":
        predicts = assignment.work == "predict"
        return (ProjectPrediction if predicts else ProjectTraining)(run_spec, inputs)
    # Only here, so that the project's process holds no library that it does not use.
    from benchmarks.plain_loops import make_plain

    return make_plain(run_spec, inputs, assignment.kind, assignment.work, assignment.way)


def _fastest_way(assignment: Assignment) -> tuple[str, str]:
    from benchmarks.plain_loops import PlainPrediction, PlainTraining, fastest_way

    with _made(assignment) as loop:
        assert isinstance(loop, PlainPrediction | PlainTraining)
        return fastest_way(loop)


def _turn(contestant: Contestant, first: int, steps: int) -> Turn:
    numbers = range(first, first + steps)
    seconds = tuple(timed(contestant.device, partial(contestant.step, n)) for n in numbers)
    loads = tuple(contestant.load(n) for n in numbers)
    return Turn(seconds, loads, peak_memory(contestant.device))


def resting_memory(device: torch.device) -> int:
    """Bytes that this process holds now; 0 where a GPU's allocator is asked, or without Linux."""
    path = Path("/proc/self/status")
    if device.type == "cuda" or not path.is_file():
        return 0
    (line,) = [row for row in path.read_text().splitlines() if row.startswith("VmRSS")]
    return int(line.split()[1]) * 1024
