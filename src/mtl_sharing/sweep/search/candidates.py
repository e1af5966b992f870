"""Candidates of a search, and their trainings that have ended."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtl_sharing.run_folder.decision import Question
from mtl_sharing.sweep.search.kernel import Values

REFERENCE = 0
"""The candidate of separate models."""
# A regime whose mean is further below what is enough, as a share of the reference's, counts as this
# far below. It is too cheap, and says nothing of where the decline begins: a smooth process would
# turn a cliff into a slope and rule out the regimes before it.
_FAR = 0.1


@dataclass(frozen=True)
class Candidates:
    """The regimes to choose from; the first is separate models, the reference.

    Attributes:
        features: shape (C, D), :data:`~mtl_sharing.sweep.search.kernel.UNSET` where one does not
            apply.
        kinds: the kind of each feature, see :class:`~mtl_sharing.sweep.search.kernel.RegimeKernel`.
        costs: what the score counts for a regime relative to separate models, shape (C,).
        training_costs: of a training, relative to that of separate models, shape (C,).
        barred: candidates that are no answer, whatever they reach. Their trainings still tell of
            others.
        held_out: standard deviation of a candidate's performance, relative to others', over
            choices of the held-out examples, which no further training makes smaller.
    """

    features: Values
    kinds: tuple[str, ...]
    costs: Values
    training_costs: Values
    barred: frozenset[int] = frozenset()
    held_out: float = 0.0

    def __len__(self) -> int:
        return len(self.costs)


@dataclass(frozen=True)
class Training:
    """A training that has ended.

    Attributes:
        performance: on the part that selects.
        number: of its trial; None where it is expected or drawn.
    """

    candidate: int
    seed: int
    performance: float
    number: int | None = None


def reference_mean(trainings: Sequence[Training]) -> float:
    """The mean performance of the reference's trainings; NaN without any."""
    own = [t.performance for t in trainings if t.candidate == REFERENCE]
    return float(np.mean(own)) if own else np.nan


def shifts_of_far(trainings: Sequence[Training], question: Question) -> dict[int, float]:
    """The shift of all trainings of each regime whose mean is far below what is enough.

    The spread of its trainings stays: one seed that fails makes a regime unsure.
    """
    reference = reference_mean(trainings)
    if not reference > 0:
        return {}
    performances: dict[int, list[float]] = {}
    for training in trainings:
        performances.setdefault(training.candidate, []).append(training.performance)
    lacking = {
        candidate: (question.keep - _FAR) * reference - float(np.mean(own))
        for candidate, own in performances.items()
    }
    return {candidate: shift for candidate, shift in lacking.items() if shift > 0}
