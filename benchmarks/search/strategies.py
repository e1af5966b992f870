"""Strategies that choose a split by training some: what they choose, and what it costs them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from benchmarks.search.problems import Draw
from mtl_sharing.errors import check_known


@dataclass(frozen=True)
class Verdict:
    """A strategy's choice.

    Attributes:
        chosen: index of the split.
        trainings: in full ones; a pruned one counts the share that was trained.
        decided: whether the strategy says that its choice is certain enough; None where it never
            says so.
        questions, asking_s: how often it was asked for the next training, and seconds for all.
    """

    chosen: int
    trainings: float
    decided: bool | None = None
    questions: int = 0
    asking_s: float = 0.0


@dataclass(frozen=True)
class Options:
    """Settings of the strategies.

    Attributes:
        grid_seeds: numbers of seeds of the grids.
        budgets: numbers of trainings at which a search is asked for its answer.
        confidence: probability at which a search has decided.
        pool: seeds that a search may train a regime with.
        most: trainings after which an undecided search ends.
    """

    grid_seeds: tuple[int, ...] = (1, 3, 5)
    budgets: tuple[int, ...] = (8, 10, 13, 20)
    confidence: float = 0.9
    pool: int = 10
    most: int = 40


Strategy = Callable[[Draw, Options], Mapping[str, Verdict]]
"""Returns its verdicts by label: one trajectory answers for several budgets."""

# By module, which is imported where the strategy runs: optuna and scikit-learn take long to load.
_MODULES = {
    "grid": "strategies",
    "process": "process",
    "tpe": "sweeps",
    "hyperband": "sweeps",
    "search": "decision",
}
STRATEGIES = tuple(_MODULES)
PRUNING = ("tpe", "hyperband")
"""The strategies that need the evaluations during a training."""


def strategy(name: str) -> Strategy:
    """The strategy of this name; raises UserError for another name."""
    check_known("--strategies", name, STRATEGIES)
    function: Strategy = getattr(import_module(f"benchmarks.search.{_MODULES[name]}"), name)
    return function


def grid(draw: Draw, options: Options) -> dict[str, Verdict]:
    """Trains every split with the first seeds; takes the cheapest whose mean keeps enough."""
    verdicts = {}
    for seeds in options.grid_seeds:
        means = draw.performances[:, :seeds].mean(axis=1)
        label = f"grid, {seeds} seed{'' if seeds == 1 else 's'}"
        verdicts[label] = Verdict(draw.problem.cheapest(means), float(seeds * len(means)))
    return verdicts
