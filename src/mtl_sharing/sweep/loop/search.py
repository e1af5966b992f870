"""The search that decides: its next training, and its answer from the trials of a study."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.run_folder.decision import Decision, NextTraining, Question, RegimeEstimate
from mtl_sharing.score.parameters import plan_cost
from mtl_sharing.score.performance import kept
from mtl_sharing.sweep.loop.held_out import HeldOutNoise
from mtl_sharing.sweep.search.belief import REFERENCE, Candidates, Training
from mtl_sharing.sweep.search.decision import Answer, answer, next_training, trainings_missing
from mtl_sharing.sweep.search.sentence import sentence
from mtl_sharing.sweep.search.space import MOST, SearchSpace, search_space
from mtl_sharing.sweep.settings import search_seeds
from mtl_sharing.sweep.space.space import Point, point_text
from mtl_sharing.sweep.space.spec import SweepSpec, key_of
from mtl_sharing.sweep.study.attributes import METRICS, SAME_AS, SEED, is_reference

log = logging.getLogger(__name__)
# A normal value lies within so many deviations of its mean with probability 0.9.
_Z90 = 1.645
# As many regimes take some seconds to compose.
_MANY = 100


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
        if (count := min(MOST, spec.points or MOST)) >= _MANY:
            log.info("counting what each of %d regimes costs", count)
        return search_space(spec.space, spec.compose_trial, spec.reference, spec.config.score, seed)

    @cached_property
    def _held_out(self) -> HeldOutNoise:
        return HeldOutNoise(self.spec.folder, self.spec.config.score.pearson)

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
        candidates = state.candidates
        known = (
            candidates.barred, candidates.held_out, state.trainings, state.running, question.seeds,
        )  # fmt: skip
        if known not in self._last:
            self._last.clear()
            self._last[known] = next_training(candidates, state.trainings, question, state.running)
        choice = self._last[known]
        if choice is None:
            return None
        return Proposal(self.space.points[choice[0]], choice[1])

    def state(self, trials: Sequence[FrozenTrial]) -> "SearchState":
        """What the trials say of the regimes."""
        state = read_state(self.space, trials)
        held_out = self._held_out.deviation(state.trainings)
        return replace(state, candidates=replace(state.candidates, held_out=held_out))

    def decide(self, trials: Sequence[FrozenTrial], foresee: bool = True) -> Decision | None:
        """The answer so far, without dev; None before separate models have been trained.

        Args:
            foresee: find out how many trainings are missing, which takes some seconds.
        """
        state = self.state(trials)
        question = self.question(state)
        if REFERENCE not in (training.candidate for training in state.trainings):
            return None
        answered = answer(state.candidates, state.trainings, question)
        missing = 0 if answered.decided else None
        if foresee and not answered.decided:
            missing = trainings_missing(state.candidates, state.trainings, question)
        costs = state.candidates.costs.copy()
        costs[REFERENCE] = np.inf  # it is the first, also beside dearer ones
        order = [int(i) for i in np.argsort(-costs, kind="stable")]
        position = {candidate: i for i, candidate in enumerate(order)}
        decision = Decision(
            question=question,
            decided=answered.decided,
            sentence="",
            chosen=position[answered.chosen],
            rivals=tuple(position[one] for one in answered.rivals),
            next=answered.next and NextTraining(position[answered.next[0]], answered.next[1]),
            missing=missing,
            regimes=tuple(self._estimate(state, answered, candidate) for candidate in order),
            dev=None,
            held_out=state.candidates.held_out,
        )
        return replace(decision, sentence=sentence(decision))

    def _estimate(self, state: "SearchState", answered: Answer, candidate: int) -> RegimeEstimate:
        trial, point = self.space.trials[candidate], self.space.points[candidate]
        own = [t for t in state.trainings if t.candidate == candidate]
        mean, half = float(answered.means[candidate]), _Z90 * float(answered.deviations[candidate])
        return RegimeEstimate(
            regime=trial.regime,
            label=self._label(trial.regime, point or {}),
            point=point,
            trials=tuple(t.number for t in own if t.number is not None),
            seeds=tuple(t.seed for t in own),
            performances=tuple(t.performance for t in own),
            mean=mean, low=mean - half, high=mean + half,
            kept=kept(mean, float(answered.means[REFERENCE])),
            probability=float(answered.probabilities[candidate]),
            cost=float(state.candidates.costs[candidate]),
            parameters=self._parameters[candidate],
        )  # fmt: skip

    def _label(self, regime: str, point: Point) -> str:
        """The regime and those of its parameters that its own text does not show."""
        apart = {name: value for name, value in point.items() if not self._is_in_regime(name)}
        return f"{regime}  {point_text(apart)}".rstrip()

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
