"""The search that decides: its next training, and its answer from the trials of a study."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.run_folder.decision import RegimeEstimate, probability_text
from mtl_sharing.score.parameters import plan_cost
from mtl_sharing.score.performance import kept
from mtl_sharing.sweep.search.belief import REFERENCE, Candidates, Question, Training
from mtl_sharing.sweep.search.decision import Answer, answer, next_training, trainings_missing
from mtl_sharing.sweep.search.space import SearchSpace, search_space
from mtl_sharing.sweep.settings import search_seeds
from mtl_sharing.sweep.space.space import Point
from mtl_sharing.sweep.space.spec import SweepSpec, key_of
from mtl_sharing.sweep.study.attributes import METRICS, SAME_AS, SEED, is_reference

# A normal value lies within so many deviations of its mean with probability 0.9.
_Z90 = 1.645


@dataclass(frozen=True)
class Proposal:
    """The next training: the point of a regime, or None for separate models, and its seed."""

    point: Point | None
    seed: int


@dataclass(frozen=True)
class RegimeSearch:
    """Decides between the regimes of a sweep from the trainings in its trials."""

    spec: SweepSpec
    # The last question with its choice: a sweep with a free slot asks every second.
    _last: dict[Any, tuple[int, int] | None] = field(default_factory=dict, repr=False)

    @cached_property
    def space(self) -> SearchSpace:
        """The regimes to choose from."""
        spec, seed = self.spec, self.spec.options.sampler.get("seed") or 0
        return search_space(spec.space, spec.compose_trial, spec.reference, spec.config.score, seed)

    @cached_property
    def _parameters(self) -> list[float]:
        """The parameters of each candidate, relative to separate models'."""
        specs = [trial.run_spec for trial in self.space.trials]
        return [plan_cost(s.architecture).total / plan_cost(s.baseline).total for s in specs]

    def question(self, state: "SearchState") -> Question:
        """The question, with the seeds that are left."""
        options = self.spec.options
        seeds = tuple(s for s in search_seeds(options) if s not in state.lost_seeds)
        return Question(self.spec.config.score.keep, options.confidence, seeds)

    def next(self, trials: Sequence[FrozenTrial]) -> Proposal | None:
        """The next training; None once the answer is sure, or no training is left."""
        state = self.state(trials)
        question = self.question(state)
        known = state.candidates.barred, state.trainings, state.running, question.seeds
        if known not in self._last:
            self._last.clear()
            self._last[known] = next_training(
                state.candidates, state.trainings, question, state.running
            )
        choice = self._last[known]
        if choice is None:
            return None
        return Proposal(self.space.points[choice[0]], choice[1])

    def state(self, trials: Sequence[FrozenTrial]) -> "SearchState":
        """What the trials say of the regimes."""
        return read_state(self.space, trials)

    def report(self, trials: Sequence[FrozenTrial], foresee: bool = True) -> "SearchReport | None":
        """The answer so far; None before separate models have been trained.

        Args:
            foresee: find out how many trainings are missing, which takes some seconds.
        """
        state = self.state(trials)
        question = self.question(state)
        if REFERENCE not in (training.candidate for training in state.trainings):
            return None
        found = answer(state.candidates, state.trainings, question)
        missing = 0 if found.decided else None
        if foresee and not found.decided:
            missing = trainings_missing(state.candidates, state.trainings, question)
        costs = np.where(
            np.arange(len(state.candidates)) == REFERENCE, np.inf, state.candidates.costs
        )
        order = [int(i) for i in np.argsort(-costs, kind="stable")]
        place = {candidate: i for i, candidate in enumerate(order)}
        chosen, rivals = place[found.chosen], tuple(place[one] for one in found.rivals)
        upcoming = None if found.next is None else (place[found.next[0]], found.next[1])
        regimes = tuple(self._estimate(state, found, candidate) for candidate in order)
        return SearchReport(question, regimes, chosen, found.decided, rivals, upcoming, missing)

    def _estimate(self, state: "SearchState", found: Answer, candidate: int) -> RegimeEstimate:
        trial, point = self.space.trials[candidate], self.space.points[candidate]
        own = [t for t in state.trainings if t.candidate == candidate]
        mean, half = float(found.means[candidate]), _Z90 * float(found.deviations[candidate])
        return RegimeEstimate(
            regime=trial.regime,
            label=self._label(trial.regime, point or {}),
            point=point,
            trials=tuple(t.number for t in own if t.number is not None),
            seeds=tuple(t.seed for t in own),
            performances=tuple(t.performance for t in own),
            mean=mean, low=mean - half, high=mean + half,
            kept=kept(mean, float(found.means[REFERENCE])),
            probability=float(found.probabilities[candidate]),
            cost=float(state.candidates.costs[candidate]),
            parameters=self._parameters[candidate],
        )  # fmt: skip

    def _label(self, regime: str, point: Point) -> str:
        """The regime and those of its parameters that its own text does not show."""
        values = [
            f"{name.rpartition('.')[2]}={format(value, '.3g' if isinstance(value, float) else '')}"
            for name, value in point.items()
            if not self._is_in_regime(name)
        ]
        return f"{regime}  {' '.join(values)}".rstrip()

    def _is_in_regime(self, name: str) -> bool:
        expansions = self.spec.options.stands_for.get(name, {}).values()
        keys = [key_of(override) for overrides in expansions for override in overrides]
        return all(key == "split" or key.startswith("sharing") for key in keys or [name])


@dataclass(frozen=True)
class SearchState:
    """The candidates of a search after some trials.

    Attributes:
        candidates: a regime is barred once one of its trainings fails, or has a task at or below
            its floor, or equals another regime's.
        trainings: those that have ended with a result.
        running: candidate and seed of those that have not.
        lost_seeds: seeds with which separate models failed.
    """

    candidates: Candidates
    trainings: tuple[Training, ...]
    running: tuple[tuple[int, int], ...]
    lost_seeds: frozenset[int] = frozenset()


def read_state(space: SearchSpace, trials: Iterable[FrozenTrial]) -> SearchState:
    """The state after some trials of a search."""
    barred, lost_seeds, trainings, running = set(), set(), [], []
    for trial in trials:
        candidate = space.index(_point(trial))
        if SEED not in trial.user_attrs or candidate is None:
            continue
        seed, metrics = int(trial.user_attrs[SEED]), trial.user_attrs.get(METRICS)
        if candidate != REFERENCE and _is_barred(trial):
            barred.add(candidate)
        elif trial.state == TrialState.FAIL:
            lost_seeds.add(seed)
        if SAME_AS in trial.user_attrs:
            continue  # the other's result is no second measurement
        if metrics is not None:
            performance = float(metrics["performance"])
            trainings.append(Training(candidate, seed, performance, trial.number))
        elif not trial.state.is_finished():
            running.append((candidate, seed))
    candidates = replace(space.candidates, barred=frozenset(barred))
    return SearchState(candidates, tuple(trainings), tuple(running), frozenset(lost_seeds))


def _point(trial: FrozenTrial) -> Point | None:
    return None if is_reference(trial) else dict(trial.params)


def _is_barred(trial: FrozenTrial) -> bool:
    at_floor = (trial.user_attrs.get(METRICS) or {}).get("at_floor")
    return trial.state == TrialState.FAIL or bool(at_floor) or SAME_AS in trial.user_attrs


@dataclass(frozen=True)
class SearchReport:
    """The answer of a search, in terms of its regimes.

    Attributes:
        regimes: separate models first, the others from the dearest to the cheapest.
        chosen: position in ``regimes`` of the one to take.
        decided: whether it keeps enough with the asked confidence.
        rivals: positions of the regimes between which it has not decided.
        next: position and seed of the training that would sharpen the answer most; None where none
            is left.
        missing: about how many more trainings decide; None where that cannot be told.
    """

    question: Question
    regimes: tuple[RegimeEstimate, ...]
    chosen: int
    decided: bool
    rivals: tuple[int, ...]
    next: tuple[int, int] | None
    missing: int | None

    @property
    def trainings(self) -> int:
        """The number of trainings that the answer rests on."""
        return sum(len(regime.trials) for regime in self.regimes)

    @property
    def belief(self) -> str:
        """The regime to take as far as is known, such as ``S8-I4 with probability .72``."""
        chosen = self.regimes[self.chosen]
        if chosen.point is None:
            return chosen.name
        return f"{chosen.name} with probability {probability_text(chosen.probability)}"
