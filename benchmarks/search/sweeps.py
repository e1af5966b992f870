"""Sweeps by Optuna's TPE with a pruner, replayed: the way of the preset ``split_alpha``."""

import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.distributions import IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from benchmarks.search.problems import Draw
from benchmarks.search.strategies import Options, Verdict
from mtl_sharing.score.objectives import keep_objective
from mtl_sharing.sweep.study.attributes import MADE_FOR, REFERENCE, SAVED
from mtl_sharing.sweep.study.components import sampler_study
from mtl_sharing.sweep.study.pruning import KeepPruner, should_prune
from mtl_sharing.sweep.study.study import SweepStudy

# As a sweep does in a finite space (sweep/loop/ask.py).
_DUPLICATES_SKIP = 3
_SPLIT = "split"


def tpe(draw: Draw, options: Options) -> dict[str, Verdict]:
    """TPE with the pruner ``keep``, one seed; every split is visited, as 24 trials allow."""
    return {"TPE with keep": _Sweep(draw, KeepPruner()).run()}


def hyperband(draw: Draw, options: Options) -> dict[str, Verdict]:
    """TPE with Hyperband, with the preset's percents."""
    pruner = HyperbandPruner(min_resource=10, max_resource=100, reduction_factor=3)
    return {"TPE with Hyperband": _Sweep(draw, pruner).run()}


@dataclass
class _Sweep:
    """One sweep over the splits, in a study in memory."""

    draw: Draw
    pruner: BasePruner
    study: SweepStudy = field(init=False)
    trained: dict[int, FrozenTrial] = field(default_factory=dict)
    spent: float = 0.0
    asking_s: float = 0.0

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.InMemoryStorage()
        # Hyperband's brackets follow from the name.
        name = f"replay {self.draw.seed}"
        study = optuna.create_study(study_name=name, direction="maximize", storage=storage)
        study.set_user_attr(MADE_FOR, {"settings": {"score": {"keep": self.draw.problem.keep}}})
        self.study = SweepStudy(study, storage, Path(), "memory")

    def run(self) -> Verdict:
        """Visits every split; the best complete trial is the choice."""
        self._train(0, self.study.add_trial({REFERENCE: True}))
        visited: set[int] = set()
        duplicates = questions = 0
        while len(visited) < len(self.draw.problem.splits):
            began = time.perf_counter()
            skips = self._unvisited(visited) if duplicates >= _DUPLICATES_SKIP else None
            index, number = self._next(skips)
            self.asking_s += time.perf_counter() - began
            questions += 1
            duplicates = duplicates + 1 if index in self.trained else 0
            visited.add(index)
            if index in self.trained:
                self._copy(number, self.trained[index])
            else:
                self._train(index, number)
        return Verdict(self._best(), self.spent, None, questions, self.asking_s)

    def _unvisited(self, visited: set[int]) -> int:
        return next(i for i in range(len(self.draw.problem.splits)) if i not in visited)

    def _next(self, index: int | None) -> tuple[int, int]:
        """The split and number of a new trial; ``index`` if it is given, else the sampler's."""
        distribution = IntDistribution(0, len(self.draw.problem.splits) - 1)
        if index is not None:
            number = self.study.add_trial({}, {_SPLIT: index}, {_SPLIT: distribution})
            return index, number
        number = self.study.add_trial({})
        sampler = TPESampler(seed=self.draw.seed + number)
        view = sampler_study(self.study.name, self.study.storage, sampler)
        trial = Trial(view, self.study.trial(number)._trial_id)
        return trial.suggest_int(_SPLIT, distribution.low, distribution.high), number

    def _train(self, index: int, number: int) -> None:
        """Trains a split until its end, or until the pruner ends it."""
        problem = self.draw.problem
        self.study.set_attrs(number, **{SAVED: float(1 / problem.costs[index])})
        pruned = self._pruned_at(number, index)
        state, value = TrialState.PRUNED, None
        if pruned is None:
            kept = self.draw.performances[index, 0] / self.draw.performances[0, 0]
            saved = float(1 / problem.costs[index])
            state, value = TrialState.COMPLETE, [keep_objective(kept, problem.keep, saved)]
        self.study.tell(number, state, value)
        self.trained[index] = self.study.trial(number)
        self.spent += (100 if pruned is None else pruned) / 100

    def _pruned_at(self, number: int, index: int) -> int | None:
        """Reports each evaluation; returns the percent at which the pruner ends the trial."""
        assert self.draw.evaluations is not None
        is_reference = index == 0
        if not is_reference and self._is_too_costly(number):
            return 0
        evaluations = self.draw.evaluations[index, 0]
        for percent, value in zip(self.draw.percents, evaluations, strict=True):
            self.study.report(number, percent, float(value))
            if not is_reference and should_prune(self.pruner, self.study, number):
                return percent
        return None

    def _is_too_costly(self, number: int) -> bool:
        if not isinstance(self.pruner, KeepPruner):
            return False
        return self.pruner.is_too_costly(self.study.copy(), self.study.trial(number))

    def _copy(self, number: int, earlier: FrozenTrial) -> None:
        for step, value in earlier.intermediate_values.items():
            self.study.report(number, step, value)
        values = list(earlier.values) if earlier.state == TrialState.COMPLETE else None
        self.study.tell(number, earlier.state, values)

    def _best(self) -> int:
        complete = {i: t for i, t in self.trained.items() if t.state == TrialState.COMPLETE}
        return max(complete, key=lambda index: complete[index].values[0])
