"""The training that sharpens an answer most for its cost."""

from collections.abc import Collection, Sequence

import numpy as np
from scipy.special import ndtr

from mtl_sharing.sweep.search.belief import Belief, Margins
from mtl_sharing.sweep.search.candidates import REFERENCE, Training
from mtl_sharing.sweep.search.kernel import Values
from mtl_sharing.sweep.search.surrogate import without_seed

# Candidates whose trainings are compared, the most doubtful ones.
_COMPARED = 40
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def most_telling(belief: Belief) -> tuple[int, int] | None:
    """The training that is expected to reduce the doubt most for its cost; None if none does.

    Stepwise uncertainty reduction (Bect et al. 2012). The doubt is ``sum_x r_x P_x (1 - P_x)``
    with the probability P that x keeps enough, and r that no other of the same cost or less does.
    Its expectation after a training is an integral over that training's performance, taken in each
    component of the surrogate with r as it is.
    """
    options = _options(belief)
    if not options:
        return None
    gains = _gains(belief, options) / belief.candidates.training_costs[[c for c, _ in options]]
    return options[int(np.argmax(gains))] if gains.max() > 0 else None


def _options(belief: Belief) -> list[tuple[int, int]]:
    """Trainings to compare: doubtful candidates, each with a seed known elsewhere and a new one."""
    done = {(t.candidate, t.seed) for t in belief.trainings}
    used = [t.seed for t in belief.trainings if t.candidate == REFERENCE]
    used += [t.seed for t in belief.trainings]
    seeds = list(dict.fromkeys([s for s in used if s in belief.question.seeds]))
    fresh = [seed for seed in belief.question.seeds if seed not in seeds][:1]
    p = belief.probabilities
    order = np.argsort(-(belief.relevance * p * (1 - p)), kind="stable")
    compared = dict.fromkeys([REFERENCE, *map(int, order[:_COMPARED])])
    options = []
    for candidate in compared:
        if candidate in belief.candidates.barred or not _may_save(belief, candidate):
            continue
        known = [seed for seed in seeds if (candidate, seed) not in done][:2]
        options += [(candidate, seed) for seed in known + fresh]
    return options


def _may_save(belief: Belief, candidate: int) -> bool:
    """Whether a candidate is the reference, or cheaper."""
    costs = belief.candidates.costs
    return candidate == REFERENCE or bool(costs[candidate] < costs[REFERENCE])


def _gains(belief: Belief, options: Sequence[tuple[int, int]]) -> Values:
    """The expected reduction of the doubt by each option, shape (O,)."""
    features = belief.candidates.features
    regimes = without_seed(features)
    rows = np.column_stack([features[[c for c, _ in options]], [float(s) for _, s in options]])
    gains = np.zeros(len(options))
    for own, component in zip(belief.margins, belief.components, strict=True):
        _, both = component.predict(np.vstack([regimes, rows]))
        count = len(features)
        cross = both[:count, count:] - belief.question.keep * both[REFERENCE, count:]
        spread = np.sqrt(np.diag(both)[count:] + component.settings.noise**2)
        gains += own.weight * _reduction(own, cross / spread, belief.relevance)
    return gains


def _reduction(own: Margins, shift: Values, relevance: Values) -> Values:
    """Doubt now less the doubt expected once margins have moved by ``shift`` times a normal draw.

    Args:
        shift: standard deviation of the move of each margin by each option, shape (C, O).
    """
    left = np.sqrt(np.maximum(own.deviation[:, None] ** 2 - shift**2, 1e-16))
    now = ndtr(own.mean / own.deviation)
    later = np.zeros_like(shift)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        p = ndtr((own.mean[:, None] + shift * node) / left)
        later += weight * p * (1 - p)
    return relevance @ ((now * (1 - now))[:, None] - later)


def with_running(belief: Belief, running: Collection[tuple[int, int]]) -> Belief:
    """The belief as if running trainings had ended as expected."""
    for choice in running:
        belief = belief.add(expected(belief, choice))
    return belief


def expected(belief: Belief, choice: tuple[int, int]) -> Training:
    """A training as it is expected to end."""
    candidate, seed = choice
    row = np.append(belief.candidates.features[candidate], float(seed))[None]
    mean = sum(one.weight * one.predict(row)[0][0] for one in belief.components)
    return Training(candidate, seed, float(mean))
