"""Replays strategies on draws of a source, side by side on the usable cores."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import Pool

from benchmarks.search.problems import Draw, Source
from benchmarks.search.strategies import Options, Verdict, strategy

_CHUNK = 4


@dataclass(frozen=True)
class Outcome:
    """One replay of one strategy, held against the truth.

    Attributes:
        replay: number of the draw.
        chosen, best: shared layers of the choice, and of the cheapest split that keeps enough.
        shortfall: performance that the choice lacks of what is enough.
        keeps: whether the choice keeps enough.
    """

    source: str
    strategy: str
    replay: int
    chosen: int
    best: int
    trainings: float
    shortfall: float
    keeps: bool
    decided: bool | None
    questions: int
    asking_s: float

    @property
    def missed(self) -> int:
        """Layers that are not shared and could be."""
        return max(0, self.best - self.chosen)


def replay(
    source: Source,
    names: Sequence[str],
    count: int,
    options: Options,
    seed: int = 0,
    pool: Pool | None = None,
) -> Iterator[Outcome]:
    """Replays strategies on draws 0 to ``count - 1``; all strategies meet the same draws.

    Args:
        pool: of processes; None works in this one.
    """
    one = partial(_replay_one, source, tuple(names), options, seed)
    several = map(one, range(count)) if pool is None else pool.imap(one, range(count), _CHUNK)
    for outcomes in several:
        yield from outcomes


def _replay_one(
    source: Source, names: Sequence[str], options: Options, seed: int, number: int
) -> list[Outcome]:
    draw = source.draw(number, seed)
    return [
        outcome(source.title, label, number, draw, verdict)
        for name in names
        for label, verdict in strategy(name)(draw, options).items()
    ]


def outcome(source: str, label: str, number: int, draw: Draw, verdict: Verdict) -> Outcome:
    """A verdict held against the truth."""
    problem = draw.problem
    return Outcome(
        source=source,
        strategy=label,
        replay=number,
        chosen=problem.splits[verdict.chosen],
        best=problem.splits[problem.cheapest(problem.truth)],
        trainings=verdict.trainings,
        shortfall=problem.shortfall(verdict.chosen),
        keeps=problem.keeps(verdict.chosen),
        decided=verdict.decided,
        questions=verdict.questions,
        asking_s=verdict.asking_s,
    )


@contextmanager
def workers(count: int) -> Iterator[Pool | None]:
    """Processes of one thread each; None where one is enough."""
    if count == 1:
        yield None
        return
    # The number of threads is read where numpy is loaded, which a new process does.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        yield pool
