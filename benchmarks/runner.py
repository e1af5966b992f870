"""Runs a workload's variants in worker processes that take turns.

Taking turns spreads a slow moment of the machine over all variants.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import reduce
from multiprocessing.connection import Connection
from operator import add
from typing import Any

from benchmarks.load import busy
from benchmarks.rate import measure_products
from benchmarks.records import Failure, Ready, Round
from benchmarks.worker import Job, choose_mode, run_steps
from benchmarks.workloads import Variant, Workload
from mtl_sharing.utils.device import usable_cores

_SPAWN = multiprocessing.get_context("spawn")
_TIMEOUT_S = 10.0
_CHUNK = 5
# A compiler that takes longer is left out of the trial of modes.
_COMPILE_S = 50.0

Log = Callable[[str], None]
Target = Callable[[Connection, Any], None]


class WorkerError(Exception):
    """A worker process failed."""


class WorkerProcess:
    """One process with a pipe for requests and responses.

    Args:
        name: name for errors.
        target: function to run with the process's end of the pipe and ``argument``.
    """

    def __init__(self, name: str, target: Target, argument: Any) -> None:
        self.name = name
        self.connection, other = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=target, args=(other, argument), daemon=True)
        self.process.start()
        other.close()

    def receive(self) -> Any:
        """The next response.

        Raises:
            WorkerError: the process failed or ended.
        """
        try:
            response = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join(_TIMEOUT_S)
            code = self.process.exitcode
            raise WorkerError(f"{self.name}: its process ended with {code}") from None
        if isinstance(response, Failure):
            raise WorkerError(f"{self.name}: {response.reason}")
        return response

    def request(self, message: Any) -> Any:
        """Sends a message and returns the response."""
        # A process that has ended may have sent its Failure before.
        with suppress(BrokenPipeError):
            self.connection.send(message)
        return self.receive()

    def stop(self) -> None:
        """Ends the process."""
        self.connection.close()
        self.process.join(_TIMEOUT_S)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()


@contextmanager
def worker(name: str, target: Target, argument: Any) -> Iterator[WorkerProcess]:
    """Starts a process, and ends it with the block."""
    process = WorkerProcess(name, target, argument)
    try:
        yield process
    finally:
        process.stop()


def run_workload(
    workload: Workload, data: Sequence[str], rounds: int, hidden: int, log: Log
) -> dict[str, Any]:
    """Measures all variants of a workload.

    Args:
        data: overrides that choose the data.
        hidden: width at which the rate of matrix products is measured, once in each round.
        log: takes a line after each round.

    Returns:
        ``variants`` (name to ``how``, ``setup_s``, ``warm_up_s``, ``resting_bytes``,
        ``peak_bytes``, ``first``, a :class:`~benchmarks.records.Round` of the first steps, and
        ``rounds``, a list of them) and ``product_rate``, a list with operations a second in each
        precision for each round.

    Raises:
        WorkerError: a variant failed; the message names it.
    """
    with ExitStack() as stack:
        meter = stack.enter_context(worker("product rate", measure_products, hidden))
        workers: dict[Variant, WorkerProcess] = {}
        ready: dict[str, Ready] = {}
        # One after the other, since a set-up may time the modes of a loop.
        for variant in workload.variants:
            job = _job(workload, variant, data)
            process = stack.enter_context(worker(variant.name, run_steps, job))
            ready[variant.name] = process.receive()
            workers[variant] = process
        first = _first_steps(workload, workers)
        log(f"{workload.name}, first {workload.first} steps: {_step_times(first)}")
        measured: list[dict[str, Round]] = []
        rates = []
        for number in range(rounds):
            rates.append(meter.request(1))
            measured.append(_turn(workers, workload.steps))
            log(f"{workload.name} round {number + 1} of {rounds}: {_step_times(measured[-1])}")
    variants = {
        name: _record(ready[name], first[name], [turn[name] for turn in measured]) for name in ready
    }
    return {"variants": variants, "product_rate": rates}


def _first_steps(workload: Workload, workers: Mapping[Variant, WorkerProcess]) -> dict[str, Round]:
    """The first steps of each variant, taken in short turns."""
    sizes = [_CHUNK] * (workload.first // _CHUNK)
    sizes += [rest] if (rest := workload.first % _CHUNK) else []
    turns = [_turn(workers, size) for size in sizes]
    return {v.name: reduce(add, [turn[v.name] for turn in turns]) for v in workers}


def _turn(workers: Mapping[Variant, WorkerProcess], steps: int) -> dict[str, Round]:
    """Steps of each variant, one after the other."""
    rounds = {}
    for variant, process in workers.items():
        with busy(usable_cores() if variant.loaded else 0):
            rounds[variant.name] = process.request(steps)
    return rounds


def _job(workload: Workload, variant: Variant, data: Sequence[str]) -> Job:
    overrides = (*data, *workload.overrides, *variant.overrides)
    job = Job(variant.kind, workload.work, overrides)
    if variant.kind != "best":
        return job
    with worker(f"{variant.name}'s trial", choose_mode, job) as process:
        return replace(job, mode=_mode(process))


def _mode(trial: WorkerProcess) -> tuple[str, ...]:
    """The fastest mode of a trial, a compiled one included if it comes in time."""
    mode: tuple[str, ...] = trial.receive()
    with suppress(WorkerError, OSError):
        if trial.connection.poll(_COMPILE_S):
            return trial.receive()
        trial.process.kill()
    return mode


def _step_times(turn: Mapping[str, Round]) -> str:
    means = [(name, sum(one.seconds) / len(one.seconds)) for name, one in turn.items()]
    return ", ".join(f"{name} {seconds:.3f} s" for name, seconds in means) + " a step"


def _record(ready: Ready, first: Round, rounds: Sequence[Round]) -> dict[str, Any]:
    return {
        "how": ready.how,
        "setup_s": ready.seconds,
        "warm_up_s": ready.warm_up_s,
        "resting_bytes": ready.resting_bytes,
        "peak_bytes": max(one.peak_bytes for one in (first, *rounds)),
        "first": first,
        "rounds": list(rounds),
    }
