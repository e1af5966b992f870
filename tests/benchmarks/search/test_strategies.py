"""What strategies choose and what it costs them."""

import pytest

from benchmarks.search import decision, sweeps
from benchmarks.search.replay import outcome, replay
from benchmarks.search.strategies import Options, Verdict, grid
from benchmarks.search.summary import BEGIN, END, markdown, rewritten, summarise
from benchmarks.search.tables import measured_source

KEEPING = (0.80, 0.81, 0.80, 0.795)
HALVES = (0.60, 0.60, 0.60, 0.60)


def test_the_whole_grid_knows_the_answer(table, suite):
    source = measured_source(table, suite)
    outcomes = list(replay(source, ["grid"], 20, Options()))
    assert {one.strategy for one in outcomes} == {"grid, 1 seed", "grid, 3 seeds", "grid, 5 seeds"}
    # Seeds differ by the same everywhere, and split 1 lacks .01 of .8, more than a hundredth.
    assert {(one.chosen, one.best, one.shortfall, one.missed) for one in outcomes} == {(0, 0, 0, 0)}
    assert [one.trainings for one in outcomes[:3]] == [4, 12, 20]


def test_grids_average_over_seeds(draw):
    drawn = draw(KEEPING, HALVES)
    drawn.performances[3] = 0.80, 0.70, 0.70
    verdicts = grid(drawn, Options(grid_seeds=(1, 3)))
    assert verdicts == {"grid, 1 seed": Verdict(3, 4.0), "grid, 3 seeds": Verdict(2, 12.0)}


@pytest.mark.parametrize(
    ("halves", "order", "chosen", "spent"),
    [
        # The reference and split 3 are trained; the others cost more, so they are not.
        (HALVES, [3, 1, 2, 0], 3, 2.0),
        # Split 3 is at half of its training too far behind; split 1 costs more than split 2.
        ((0.60, 0.60, 0.60, 0.50), [3, 2, 1, 0], 2, 2.5),
    ],
)
def test_a_pruned_trial_costs_its_share(monkeypatch, draw, halves, order, chosen, spent):
    drawn_at, given = sweeps._Sweep._next, list(order)
    monkeypatch.setattr(sweeps._Sweep, "_next", lambda self, _: drawn_at(self, given.pop(0)))
    (verdict,) = sweeps.tpe(draw(KEEPING, halves), Options()).values()
    assert (verdict.chosen, verdict.trainings, verdict.questions) == (chosen, spent, 4)


def test_sweeps_draw_by_optuna(draw):
    (keep,) = sweeps.tpe(draw(KEEPING, HALVES), Options()).values()
    assert keep.chosen == 3 and 2 <= keep.trainings <= 4
    (hyperband,) = sweeps.hyperband(draw(KEEPING, HALVES), Options()).values()
    assert 1 <= hyperband.trainings <= 4
    assert sweeps.tpe(draw(KEEPING, HALVES), Options())["TPE with keep"].chosen == keep.chosen


def test_summaries_count_what_was_stated(draw):
    drawn = draw((0.80, 0.78, 0.80, 0.70), HALVES)
    verdicts = [Verdict(2, 8, True, 4, 2.0), Verdict(3, 9, True, 6, 1.0), Verdict(0, 10, False)]
    outcomes = [outcome("four", "search", n, drawn, one) for n, one in enumerate(verdicts)]
    outcomes.append(outcome("four", "grid", 0, drawn, Verdict(1, 4)))
    search, plain = summarise(outcomes)
    assert (search.trainings, search.missed) == (9, pytest.approx(2 / 3))
    assert search.shortfall == pytest.approx((0.792 - 0.70) / 3)
    assert (search.short, search.decided) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert (search.right, search.question_s) == (0.5, pytest.approx(0.3))
    assert (plain.decided, plain.right, plain.question_s) == (None, None, None)
    tables = markdown([search, plain])
    assert tables.startswith("Four, 3 replays:\n\n| strategy | trainings |")
    page = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert rewritten(page, tables) == f"before\n{BEGIN}\n{tables}{END}\nafter"


def test_a_search_is_asked_on_after_it_has_decided(monkeypatch, draw):
    stop = {1.0: 12, 0.9: 9}

    def next_training(candidates, trainings, question, running=()):
        done = len(trainings)
        return None if done >= stop[question.confidence] else (done % 4, done // 4)

    class Answer:
        chosen, decided = 3, True

    monkeypatch.setattr(decision, "next_training", next_training)
    monkeypatch.setattr(decision, "answer", lambda *_: Answer)
    verdicts = decision.search(draw(KEEPING, HALVES), Options(budgets=(8, 10, 13)))
    spent = {name: one.trainings for name, one in verdicts.items()}
    assert spent == {"search, 8": 8, "search, 10": 10, "search, 13": 12, decision.STOPPED: 9}
    assert verdicts[decision.STOPPED].questions == 10
