"""The answer of a search, when it is sure, and the training that comes next."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from mtl_sharing.run_folder.decision import Question
from mtl_sharing.sweep.search.acquisition import expected, most_telling, with_running
from mtl_sharing.sweep.search.belief import Belief, believe
from mtl_sharing.sweep.search.candidates import REFERENCE, Candidates, Training
from mtl_sharing.sweep.search.kernel import Values

FEWEST = 3
"""Trainings of a search at least: the reference, the cheapest regime, and one between."""
# Share of the largest saving for which, as an expectation, a search does not go on.
_TOLERANCE = 0.03
# Trainings of the chosen regime, and of the reference, that an answer needs.
_CONFIRMED = 3
# The probability of keeping enough that the choice of an undecided search has.
_LIKELY = 0.5
_MOST_AHEAD = 25
_FORESEEN = 3


@dataclass(frozen=True)
class Answer:
    """The answer of a search.

    Attributes:
        chosen: the candidate to take: the cheapest that keeps enough with the asked confidence,
            or where that is not decided with a probability of one half.
        decided: whether it keeps enough with that confidence, and no other promises to save much
            more.
        probabilities: of each candidate that it keeps enough, shape (C,).
        means, deviations: of the performance over seeds, shape (C,).
        rivals: candidates between which it is in doubt, the cheapest first; none where only
            repeated trainings are missing.
        next: candidate and seed of the training that would sharpen the answer most.
    """

    chosen: int
    decided: bool
    probabilities: Values
    means: Values
    deviations: Values
    rivals: tuple[int, ...]
    next: tuple[int, int] | None


def next_training(
    candidates: Candidates,
    trainings: Sequence[Training],
    question: Question,
    running: Collection[tuple[int, int]] = (),
) -> tuple[int, int] | None:
    """Candidate and seed of the next training.

    None once the answer is decided, where no training is left, and while the first ones run.

    Args:
        running: trainings that have begun and not ended.
    """
    known = {(t.candidate, t.seed) for t in trainings} | set(running)
    if (first := _first(candidates, known, question)) is not None:
        return first
    if not any(training.candidate == REFERENCE for training in trainings):
        return None
    belief = with_running(believe(candidates, trainings, question), running)
    return None if is_decided(belief) else _next(belief)


def answer(candidates: Candidates, trainings: Sequence[Training], question: Question) -> Answer:
    """The answer after some trainings, of which one or more are of the reference."""
    belief = believe(candidates, trainings, question)
    decided = is_decided(belief)
    chosen = _chosen(belief, decided)
    rivals = () if _is_sure(belief) else _rivals(belief, chosen)
    known = {(t.candidate, t.seed) for t in trainings}
    following = _first(candidates, known, question) or _next(belief)
    return Answer(
        chosen, decided, belief.probabilities, belief.means, belief.deviations, rivals, following
    )


def trainings_missing(
    candidates: Candidates, trainings: Sequence[Training], question: Question
) -> int | None:
    """About how many more trainings decide, if each confirms what is expected now; 1 at least.

    None where 25 do not, or no training is left. It takes the likeliest hyperparameters alone.
    """
    draws = [one.settings for one in believe(candidates, trainings, question).components]
    belief = believe(candidates, trainings, question, draws[:_FORESEEN])
    for count in range(1, _MOST_AHEAD + 1):
        if (choice := _next(belief)) is None:
            return None
        belief = belief.add(expected(belief, choice))
        if is_decided(belief):
            return count
    return None


def is_decided(belief: Belief) -> bool:
    """Whether a candidate keeps enough with the asked confidence and little is left to save."""
    return _is_sure(belief) and not _unconfirmed(belief)


def _is_sure(belief: Belief) -> bool:
    """Whether little is left to save beside the cheapest that is likely enough."""
    costs = belief.candidates.costs
    open_to_choice = np.delete(costs, list(belief.candidates.barred))
    most = float(costs[REFERENCE] - open_to_choice.min())
    chosen = belief.cheapest_above(belief.question.confidence)
    return belief.missed(chosen) <= _TOLERANCE * most


def _next(belief: Belief) -> tuple[int, int] | None:
    """The next training: one that an answer still needs, or the one that tells most."""
    return _confirmation(belief) or most_telling(belief)


def _unconfirmed(belief: Belief) -> list[int]:
    """The reference and the regime to name, where they need more trainings; fewest first."""
    needed = min(_CONFIRMED, len(belief.question.seeds))
    named = {REFERENCE, belief.cheapest_above(belief.question.confidence)}
    return sorted((c for c in named if belief.count(c) < needed), key=belief.count)


def _confirmation(belief: Belief) -> tuple[int, int] | None:
    """A training that an answer still needs, with a seed that another has where there is one."""
    missing = _unconfirmed(belief)
    if not missing or not _is_sure(belief):
        return None
    own = {t.seed for t in belief.trainings if t.candidate == missing[0]}
    paired = [t.seed for t in belief.trainings]
    seeds = [seed for seed in (*paired, *belief.question.seeds) if seed not in own]
    return missing[0], next(seed for seed in seeds if seed in belief.question.seeds)


def _chosen(belief: Belief, decided: bool) -> int:
    return belief.cheapest_above(belief.question.confidence if decided else _LIKELY)


def _rivals(belief: Belief, chosen: int) -> tuple[int, ...]:
    """The two candidates that the decision hangs between: the chosen one, and its likeliest rival.

    Where no other is in doubt, separate models are the rival.
    """
    doubt = belief.relevance * belief.probabilities * (1 - belief.probabilities)
    doubt[chosen] = 0.0
    rival = int(np.argmax(doubt))
    pair = {chosen, rival} if doubt[rival] > 0 else {chosen, REFERENCE}
    return tuple(sorted(pair, key=lambda one: float(belief.candidates.costs[one])))


def _first(
    candidates: Candidates, known: Collection[tuple[int, int]], question: Question
) -> tuple[int, int] | None:
    """The first trainings: the reference, the cheapest regime, the one of middle cost."""
    costs = np.round(candidates.costs, 9)
    cheapest = int(np.argmin(costs))
    between = int(np.argmin(np.abs(costs - (costs[cheapest] + costs[REFERENCE]) / 2)))
    begun = {candidate for candidate, _ in known} | candidates.barred
    for candidate in (REFERENCE, cheapest, between):
        if candidate not in begun and question.seeds:
            return candidate, question.seeds[0]
    return None
