"""The parent's side of a race: processes that take turns, so that a slow moment slows all."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.contestant import Assignment, choose_way, race
from benchmarks.rate import measure_products
from benchmarks.records import Failed, Ready, Turn
from benchmarks.workloads import Contender, Workload

_SPAWN = multiprocessing.get_context("spawn")
_PATIENCE_S = 10.0

Say = Callable[[str], None]


class ContestError(Exception):
    """A contestant could not go on."""


class Child:
    """One process, asked and answering over a pipe.

    Args:
        name: for errors.
        work: runs in the process, with its end of the pipe and ``argument``.
    """

    def __init__(self, name: str, work: Callable[[Connection, Any], None], argument: Any) -> None:
        self.name = name
        self.connection, other = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=work, args=(other, argument), daemon=True)
        self.process.start()
        other.close()

    def receive(self) -> Any:
        """The next answer.

        Raises:
            ContestError: the process failed or ended.
        """
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join(_PATIENCE_S)
            code = self.process.exitcode
            raise ContestError(f"{self.name}: its process ended with {code}") from None
        if isinstance(answer, Failed):
            raise ContestError(f"{self.name}: {answer.reason}")
        return answer

    def ask(self, message: Any) -> Any:
        """Sends a message and waits for the answer."""
        # A process that has ended says why in what it sent before.
        with suppress(BrokenPipeError):
            self.connection.send(message)
        return self.receive()

    def stop(self) -> None:
        """Ends the process."""
        self.connection.close()
        self.process.join(_PATIENCE_S)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()


@contextmanager
def child(name: str, work: Callable[[Connection, Any], None], argument: Any) -> Iterator[Child]:
    """A process for the length of a block."""
    made = Child(name, work, argument)
    try:
        yield made
    finally:
        made.stop()


def run_workload(
    workload: Workload, data: Sequence[str], rounds: int, hidden: int, say: Say
) -> dict[str, Any]:
    """Races a workload's contenders and returns everything that they told.

    Args:
        data: overrides that choose the data.
        hidden: width at which the rate of matrix products is measured, once a round.
        say: takes a line after each round.

    Returns:
        ``contenders`` (name to ``how``, ``setup_s``, ``resting_bytes``, ``peak_bytes`` and
        ``rounds``, a list of :class:`~benchmarks.records.Turn`) and ``product_rate``, a list with
        operations a second in each precision for each round.

    Raises:
        ContestError: naming the contender that failed.
    """
    with ExitStack() as stack:
        meter = stack.enter_context(child("product rate", measure_products, hidden))
        children: dict[str, Child] = {}
        ready: dict[str, Ready] = {}
        # One after the other: nobody computes beside one that tries what is fastest.
        for contender in workload.contenders:
            assignment = _assignment(workload, contender, data)
            started = stack.enter_context(child(contender.name, race, assignment))
            ready[contender.name] = started.receive()
            children[contender.name] = started
        turns: dict[str, list[Turn]] = {name: [] for name in children}
        rates = []
        for number in range(rounds):
            rates.append(meter.ask(1))
            for name, runner in children.items():
                turns[name].append(runner.ask(workload.steps))
            say(f"{workload.name} round {number + 1} of {rounds}: {_paces(turns)}")
    found = {name: _facts(ready[name], turns[name]) for name in children}
    return {"contenders": found, "product_rate": rates}


def _assignment(workload: Workload, contender: Contender, data: Sequence[str]) -> Assignment:
    words = (*data, *workload.overrides, *contender.overrides)
    given = Assignment(contender.kind, workload.work, words)
    if contender.kind != "best":
        return given
    with child(f"{contender.name}'s trial", choose_way, given) as trying:
        return replace(given, way=trying.receive())


def _paces(turns: dict[str, list[Turn]]) -> str:
    pairs = [(name, own[-1].seconds) for name, own in turns.items()]
    return ", ".join(f"{name} {sum(s) / len(s):.3f} s" for name, s in pairs) + " a step"


def _facts(ready: Ready, turns: Sequence[Turn]) -> dict[str, Any]:
    return {
        "how": ready.how,
        "setup_s": ready.seconds,
        "resting_bytes": ready.resting_bytes,
        "peak_bytes": max(turn.peak_bytes for turn in turns),
        "rounds": list(turns),
    }
