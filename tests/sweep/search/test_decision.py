"""The search's answer and next trainings, on curves whose truth is known."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from mtl_sharing.run_folder.decision import Question
from mtl_sharing.sweep.search.acquisition import most_telling
from mtl_sharing.sweep.search.belief import believe
from mtl_sharing.sweep.search.candidates import REFERENCE, Candidates, Training
from mtl_sharing.sweep.search.decision import (
    answer,
    is_decided,
    next_training,
    trainings_missing,
)
from mtl_sharing.sweep.search.kernel import CATEGORY, DEPTH, UNSET

SPLITS = np.arange(13)
ALL = Candidates((SPLITS / 12)[:, None], (DEPTH,), 1 - SPLITS / 18, np.ones(13))
ASKED = Question(0.99, 0.9, tuple(range(20)))


def knee(at: int) -> np.ndarray:
    """Performances that keep all up to a split, and lose 2% a layer above it."""
    return 0.8 * (1 - 0.02 * np.maximum(0, SPLITS - at))


def run(curve, deviation, most, seed=0, question=ASKED):
    """The trainings of a search to its end."""
    random, trainings = np.random.default_rng(seed), []
    while len(trainings) < most:
        choice = next_training(ALL, trainings, question)
        if choice is None:
            break
        performance = curve[choice[0]] + random.normal(0, deviation)
        trainings.append(Training(*choice, float(performance)))
    return trainings


def test_the_first_trainings_are_the_reference_the_cheapest_and_one_between():
    trainings = run(knee(6), 0.001, 3)
    assert [(t.candidate, t.seed) for t in trainings] == [(0, 0), (12, 0), (6, 0)]


@pytest.mark.parametrize("at", [0, 5, 8, 12])
def test_a_clear_knee_is_found_and_the_search_stops(at):
    trainings = run(knee(at), 0.002, 25)
    found = answer(ALL, trainings, ASKED)
    assert found.decided and next_training(ALL, trainings, ASKED) is None
    assert len(trainings) <= 14
    assert found.probabilities[found.chosen] >= 0.9
    assert at - 1 <= found.chosen <= at


def test_no_training_is_asked_for_twice():
    trainings = run(knee(6), 0.03, 40)
    chosen = [(t.candidate, t.seed) for t in trainings]
    assert len(set(chosen)) == len(chosen)


def test_equal_trainings_ask_for_the_same_next_one():
    trainings = run(knee(6), 0.02, 9)
    assert run(knee(6), 0.02, 9) == trainings
    assert len({next_training(ALL, trainings, ASKED) for _ in range(3)}) == 1


def test_running_trainings_are_not_asked_for_again():
    trainings, running = run(knee(6), 0.02, 6), []
    for _ in range(4):
        choice = next_training(ALL, trainings, ASKED, running)
        assert choice not in running
        assert choice not in {(t.candidate, t.seed) for t in trainings}
        running.append(choice)


def test_several_may_begin_before_one_has_ended():
    running = []
    for _ in range(3):
        running.append(next_training(ALL, [], ASKED, running))
    assert {candidate for candidate, _ in running} == {0, 12, 6}
    assert next_training(ALL, [], ASKED, running) is None


def test_the_search_ends_where_all_seeds_are_used():
    question = Question(0.99, 0.9, (3, 5))
    trainings = [
        Training(candidate, seed, 0.8) for candidate, seed in product(range(13), question.seeds)
    ]
    noisy = [Training(t.candidate, t.seed, 0.8 - 0.01 * (i % 3)) for i, t in enumerate(trainings)]
    assert most_telling(believe(ALL, noisy, question)) is None
    assert next_training(ALL, noisy, question) is None


def test_the_expected_doubt_is_that_of_simulated_trainings():
    """The closed form against beliefs that were made anew with simulated performances."""
    from mtl_sharing.sweep.search.acquisition import _gains

    trainings = run(knee(7), 0.01, 6)
    belief = believe(ALL, trainings, ASKED)
    belief = believe(ALL, trainings, ASKED, [belief.components[0].settings])  # one component
    own, component = belief.margins[0], belief.components[0]

    def doubt(one):
        return float(belief.relevance @ (one.probabilities * (1 - one.probabilities)))

    option = (8, 19)
    row = np.append(ALL.features[8], 19.0)[None]
    mean, covariance = component.predict(row)
    spread = np.sqrt(covariance.item() + component.settings.noise**2)
    later = [
        doubt(belief.add(Training(*option, float(mean[0] + spread * z))))
        for z in np.random.default_rng(0).normal(size=400)
    ]
    expected = doubt(belief) - np.mean(later)
    error = np.std(later) / np.sqrt(400)
    assert _gains(belief, [option])[0] == pytest.approx(expected, abs=4 * error + 1e-4)
    assert own.weight == 1


def test_an_answer_needs_three_trainings_of_what_it_names():
    trainings = [Training(REFERENCE, 0, 0.8), Training(12, 0, 0.9), Training(6, 0, 0.85)]
    assert not is_decided(believe(ALL, trainings, ASKED))
    second = [Training(REFERENCE, 1, 0.8), Training(12, 1, 0.9)]
    # What is missing is asked for, with a seed that the other has.
    third = next_training(ALL, [*trainings, *second, Training(12, 2, 0.9)], ASKED)
    assert third == (REFERENCE, 2)
    more = [*trainings, *second, Training(12, 2, 0.9), Training(REFERENCE, 2, 0.8)]
    found = answer(ALL, more, ASKED)
    assert found.decided and found.chosen == 12


def test_what_is_missing_is_one_or_more():
    trainings = run(knee(6), 0.002, 8)
    few = trainings_missing(ALL, trainings[:4], ASKED)
    assert few is None or few >= 1


def test_the_next_training_is_the_same_for_answer_and_search():
    trainings = [Training(REFERENCE, 0, 0.8)]
    assert answer(ALL, trainings, ASKED).next == next_training(ALL, trainings, ASKED) == (12, 0)


def test_nothing_is_chosen_before_the_reference_has_ended():
    trainings = [Training(12, 0, 0.7), Training(6, 0, 0.8)]
    assert next_training(ALL, trainings, ASKED, [(REFERENCE, 0)]) is None


def test_an_undecided_answer_names_two_rivals():
    trainings = run(knee(6), 0.03, 5)
    found = answer(ALL, trainings, ASKED)
    assert not found.decided and len(set(found.rivals)) == 2
    assert found.chosen in found.rivals


def test_a_barred_candidate_is_no_answer_and_is_not_trained_again():
    trainings = [Training(REFERENCE, 0, 0.8)]
    failed = replace(ALL, barred=frozenset({12}))
    assert next_training(failed, trainings, ASKED) == (6, 0)
    # It looks best of all, and tells of its neighbours.
    trainings += [Training(c, s, 0.9) for c in (6, 12) for s in range(3)]
    trainings += [Training(REFERENCE, s, 0.8) for s in (1, 2)]
    found = answer(failed, trainings, ASKED)
    assert found.probabilities[12] == 0 and found.probabilities[11] > 0.5
    assert found.chosen != 12 and found.next[0] != 12


def test_all_others_barred_leaves_separate_models():
    alone = replace(ALL, barred=frozenset(range(1, 13)))
    trainings = [Training(c, s, 0.8) for c in (0, 6, 12) for s in range(3)]
    found = answer(alone, trainings, ASKED)
    assert found.decided and found.chosen == REFERENCE and found.next is None


def test_a_cliff_does_not_bar_the_regimes_before_it():
    """All splits up to 10 keep enough; the next lose 10% and 20%."""
    curve, decided = np.where(SPLITS <= 10, 0.96, np.where(SPLITS == 11, 0.87, 0.77)), 0
    for seed in range(3):
        trainings = run(curve, 0.004, 20, seed)
        found = answer(ALL, trainings, ASKED)
        assert found.chosen in (9, 10)
        decided += found.decided
        # What is shown of a regime is what it reached.
        assert found.means[12] == pytest.approx(0.77, abs=0.02)
    assert decided >= 2


@pytest.mark.parametrize("seed", range(2))
def test_settings_of_equal_cost_are_no_rivals_of_each_other(seed):
    """Three splits with three settings each: those of split 8 keep enough, those of 12 do not."""
    shared, settings = np.repeat([0, 8, 12], [1, 3, 3]), np.r_[UNSET, np.tile(np.arange(3.0), 2)]
    features = np.column_stack([shared / 12, settings])
    candidates = Candidates(features, (DEPTH, CATEGORY), 1 - shared / 18, np.ones(7))
    random, trainings = np.random.default_rng(seed), []
    while (choice := next_training(candidates, trainings, ASKED)) and len(trainings) < 20:
        performance = {0: 0.96, 8: 0.957, 12: 0.70}[shared[choice[0]]] + random.normal(0, 0.004)
        trainings.append(Training(*choice, float(performance)))
    found = answer(candidates, trainings, ASKED)
    assert found.decided and shared[found.chosen] == 8
    assert len(trainings) <= 15
    assert sum(shared[t.candidate] == 12 for t in trainings) <= 3


def test_a_seed_that_fails_makes_its_regime_unsure():
    """All of a regime's trainings but one keep enough; their mean does not."""
    trainings = [Training(REFERENCE, s, 0.96 + 0.002 * (s % 2)) for s in range(6)]
    trainings += [Training(12, s, 0.975 + 0.002 * (s % 2)) for s in range(9)]
    trainings += [Training(12, 9, 0.40), Training(6, 0, 0.96)]
    found = answer(ALL, trainings, ASKED)
    assert not (found.decided and found.chosen == 12)
    assert found.probabilities[12] < 0.9


@pytest.mark.parametrize("reference", [-0.2, 0.0])
def test_nothing_is_a_share_of_a_reference_that_is_not_above_zero(reference):
    own = (0, reference), (12, 0.3), (6, 0.3)
    trainings = [Training(c, s, v) for c, v in own for s in range(3)]
    found = answer(ALL, trainings, ASKED)
    assert found.chosen == REFERENCE and not found.probabilities[1:].any()


def test_regimes_that_cost_as_much_as_separate_models_are_not_trained():
    dear = Candidates(
        ALL.features, ALL.kinds, np.where(SPLITS % 2, 1.0, ALL.costs), ALL.training_costs
    )
    random, trainings = np.random.default_rng(3), []
    for _ in range(15):
        choice = next_training(dear, trainings, ASKED) or (0, 19)
        trainings.append(Training(*choice, float(knee(6)[choice[0]] + random.normal(0, 0.02))))
    assert not {t.candidate for t in trainings if t.candidate % 2}


@pytest.mark.parametrize("keep", [0.5, 1.0])
def test_separate_models_keep_all_of_themselves(keep):
    question = Question(keep, 0.9, ASKED.seeds)
    trainings = [Training(c, s, 0.8 - c / 100) for c in (0, 6, 12) for s in range(3)]
    assert answer(ALL, trainings, question).probabilities[REFERENCE] == 1
