"""The search that decides: its next training, and its answer from the trials of a study."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.run_folder.decision import Decision, NextTraining, Question, RegimeEstimate
from mtl_sharing.run_folder.decision_sentence import sentence
from mtl_sharing.score.parameters import plan_cost
from mtl_sharing.score.performance import kept
from mtl_sharing.sweep.loop.held_out import HeldOutNoise
from mtl_sharing.sweep.search.candidates import (
    REFERENCE,
    Candidates,
    Training,
    reference_mean,
)
from mtl_sharing.sweep.search.decision import Answer, answer, next_training, trainings_missing
from mtl_sharing.sweep.search.space import MOST, SearchSpace, search_space
from mtl_sharing.sweep.settings import search_seeds
from mtl_sharing.sweep.space.space import Point, point_text
from mtl_sharing.sweep.space.spec import SweepSpec, is_sharing, key_of
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


@dataclass
class RegimeSearch:
    """Decides between the regimes of a sweep from the trainings in its trials."""

    spec: SweepSpec
    # A sweep with a free slot asks every second.
    _last: "tuple[Any, Standing] | None" = field(default=None, repr=False)

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

    def next(self, trials: Sequence[FrozenTrial]) -> Proposal | None:
        """The next training; None once the answer is sure, or no training is left."""
        choice = self.standing(trials).next
        return None if choice is None else Proposal(self.space.points[choice[0]], choice[1])

    def standing(self, trials: Sequence[FrozenTrial]) -> "Standing":
        """The standing after these trials, computed once for equal trials."""
        key = [
            (t.number, t.state, METRICS in t.user_attrs, SAME_AS in t.user_attrs) for t in trials
        ]
        if self._last is None or self._last[0] != key:
            self._last = key, self._standing(trials)
        return self._last[1]

    def unknown_noise(self, trials: Sequence[FrozenTrial]) -> list[int]:
        """The trials that tell nothing of the choice of held-out examples."""
        return self._held_out.unknown(self.standing(trials).state.trainings)

    def _standing(self, trials: Sequence[FrozenTrial]) -> "Standing":
        state, options = read_state(self.space, trials), self.spec.options
        seeds = tuple(s for s in search_seeds(options) if s not in state.lost_seeds)
        question = Question(self.spec.config.score.keep, options.confidence, seeds)
        held_out = self._held_out.deviation(state.trainings)
        candidates = replace(state.candidates, held_out=held_out)
        return Standing(replace(state, candidates=candidates), question)

    def decide(self, trials: Sequence[FrozenTrial], foresee: bool = True) -> Decision | None:
        """The answer so far, without dev; None before separate models have been trained.

        Args:
            foresee: find out how many trainings are missing, which takes some seconds.
        """
        standing = self.standing(trials)
        state, question, answered = standing.state, standing.question, standing.answer
        if answered is None:
            return None
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
        # Where their trainings are not above 0, nothing is a share of them.
        positive = reference_mean(state.trainings) > 0
        reference = float(answered.means[REFERENCE]) if positive else None
        mean, half = float(answered.means[candidate]), _Z90 * float(answered.deviations[candidate])
        return RegimeEstimate(
            regime=trial.regime,
            label=self._label(trial.regime, point or {}),
            point=point,
            trials=tuple(t.number for t in own if t.number is not None),
            seeds=tuple(t.seed for t in own),
            performances=tuple(t.performance for t in own),
            mean=mean, low=mean - half, high=mean + half,
            kept=kept(mean, reference),
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
        return all(map(is_sharing, keys or [name]))


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
class Standing:
    """How a search stands after some trials. What takes long is computed once, and if needed."""

    state: SearchState
    question: Question

    @cached_property
    def answer(self) -> Answer | None:
        """The answer so far; None before separate models have been trained."""
        state = self.state
        if REFERENCE not in (training.candidate for training in state.trainings):
            return None
        return answer(state.candidates, state.trainings, self.question)

    @cached_property
    def next(self) -> tuple[int, int] | None:
        """Candidate and seed of the next training; None once the answer is sure."""
        state = self.state
        if self.answer is not None and not state.running:
            return None if self.answer.decided else self.answer.next
        return next_training(state.candidates, state.trainings, self.question, state.running)
