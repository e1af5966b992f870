"""The sentence that a report begins with, from made-up groups: no run is trained or read."""

from dataclasses import replace
from pathlib import Path

import pytest

from mtl_sharing.report.analysis.answer import make_answer
from mtl_sharing.report.analysis.comparisons import PERFORMANCE, Comparison
from mtl_sharing.report.analysis.statistics import Difference
from mtl_sharing.report.analysis.verdicts import verdict_table
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.report.inputs.sweeps import SweepHistory
from search_reports import SEPARATE, SPLITS, decision

SEEDS = (0, 1, 2)


def group(plan, performance=0.8, size=1000, seeds=SEEDS, floor=0.2, sweep=None, trial=None, **more):
    """A group of one task whose runs are all alike."""
    runs = tuple(
        Run(Path("none") / plan / str(s), f"{plan}/{s}", sweep, trial, "finished", result={
            "plan": plan, "seed": s, "performance": performance, "performance_raw_r": performance,
            "tasks": {"sst": {"metric": "accuracy", "value": performance, "floor": floor}},
            "params": {"total": size}, "scored_by": {"keep": 0.99}, **more})
        for s in seeds
    )  # fmt: skip
    return Group(plan, runs, plan, {}, plan == "I12")


def compared(plan, mean, low, high, seeds=SEEDS):
    """The paired test of a group with separate models, whose performance is 0.8."""
    difference = Difference(0.8 * mean, 0.8 * low, 0.8 * high, 0.5)
    return Comparison(plan, "I12", True, PERFORMANCE, "", seeds, 9, difference, "a test")


BASE = group("I12")
SURE = group("S6-I6", 0.796, 600), compared("S6-I6", -0.005, -0.009, -0.001)
OPEN = group("S9-I3", 0.796, 400), compared("S9-I3", -0.005, -0.03, 0.02)
BAD = group("S12", 0.72, 333), compared("S12", -0.1, -0.12, -0.08)


def answer(*members, base=(BASE,), histories=()):
    groups = [*base, *(own for own, _ in members)]
    return make_answer(groups, [test for _, test in members], histories)


def test_the_cheapest_regime_that_surely_keeps_enough_is_taken():
    larger = group("S3-I9", 0.81, 800), compared("S3-I9", 0.0125, 0.01, 0.02)
    given = answer(larger, SURE, BAD)
    assert given.sentence == (
        "Take S6-I6: it keeps 99.5% [99.1%, 99.9%] of separate models' performance at 60% of their"
        " parameters, surely at least 99% (95% interval, 3 seeds); not confirmed on other data"
    )
    assert given.chosen is SURE[0]
    assert [v.text for v in given.verdicts] == [
        "the reference", "keeps 99%", "keeps 99%", "keeps less than 99%"
    ]  # fmt: skip


def test_a_cheaper_one_that_is_open_stands_below_the_answer():
    given = answer(SURE, OPEN)
    assert given.chosen is SURE[0]
    assert given.details[0].startswith("Cheaper, but not decided: S9-I3: it keeps 99.5% [97.0%,")
    dearer = answer(SURE, (group("S3-I9", 0.796, 700), compared("S3-I9", -0.005, -0.03, 0.02)))
    assert not any("S3-I9" in line for line in dearer.details)


def test_an_open_question_names_the_seeds_that_would_tell():
    given = answer(OPEN, BAD)
    assert given.sentence.startswith(
        "Not decided whether any regime keeps 99%. So far S9-I3: it keeps 99.5% [97.0%, 102.0%]"
    )
    assert given.sentence.endswith(
        "(3 seeds, 95% interval); more seeds of S9-I3 and of separate models would tell"
    )
    assert given.chosen is OPEN[0]


def test_one_seed_decides_nothing():
    own = group("S6-I6", 0.8, 600, (0,)), compared("S6-I6", 0.0, -0.001, 0.001, (0,))
    given = answer(own)
    assert given.sentence.startswith("Not decided") and "(1 seed, 95% interval)" in given.sentence
    assert given.details == ("3 seeds or more of both are needed to say anything of others",)
    assert [v.text for v in given.verdicts][1:] == ["not decided: 1 seed"]


def test_separate_models_are_kept_where_nothing_keeps_enough():
    given = answer(BAD)
    assert given.sentence.startswith("Keep separate models: no cheaper regime here keeps 99%")
    assert "nearest is S12: it keeps 90.0% [88.0%, 92.0%]" in given.sentence
    assert given.chosen is BASE
    large = group("S12-PAL", 0.8, 1000), compared("S12-PAL", 0.0, -0.001, 0.001)
    assert "no regime here has fewer parameters" in answer(large).sentence


def test_a_task_at_a_constant_answer_is_never_chosen():
    low = group("S12", 0.6, 333, floor=0.6), compared("S12", 0.0, -0.001, 0.001)
    given = answer(low, base=[base := group("I12", floor=0.6)])
    assert given.sentence.startswith("Keep separate models") and given.chosen is base
    assert "S12: sst at or below a constant answer" in given.sentence
    nothing = answer(low, base=[group("I12", 0.6, floor=0.6)])
    assert nothing.sentence.startswith("No answer: nothing here learned all tasks")


def test_without_separate_models_or_anything_else_that_is_said():
    given = answer(SURE, base=())
    assert given.sentence.startswith("No answer: what is kept is unknown without separate models")
    assert "S6-I6 has the best performance, 0.7960 (3 seeds)" in given.sentence
    assert "sharing=individual" in given.details[0]
    assert answer().sentence.startswith("Only separate models are here")


def test_what_was_measured_on_other_data_is_said_at_once_and_answered_apart():
    own, other = group("I12"), group("S6-I6")
    for one, digest in ((own, "a"), (other, "b")):
        object.__setattr__(one, "differs", {"data.sst.digests.dev": digest})
    given = make_answer([own, other], [], [])
    assert given.sentence.startswith("These runs cannot be compared with each other: they were")
    assert given.chosen is None and len(given.details) == 2
    assert given.details[0].startswith("sst as in I12/0: Only separate models are here")


def history(**changes):
    regimes = (replace(SEPARATE, trials=(20, 21)), *SPLITS[1:])
    made = decision(regimes=regimes, **changes)
    return SweepHistory("search", "keep", {}, [], {}, decision=made)


SEARCHED = [group("I12", sweep="search", trial=9), group("S8-I4", sweep="search", trial=1)]


def test_a_search_answers_for_its_report():
    given = make_answer(SEARCHED, [], [history()])
    assert given.sentence == (
        "Take S8-I4: it keeps 99.5% [98.6%, 100.5%] of separate models' performance on dev and at"
        " least 99% with probability .93 (8 trainings), at 56% of the parameters; dev agrees"
        " without being sure"
    )
    assert given.chosen is SEARCHED[1]
    assert given.details[0].endswith(
        "performance 0.8000 [0.7700, 0.8300] (90% interval), 100.0% of separate models', at 56% of"
        " their parameters"
    )
    assert given.details[1].startswith("S8-I4 on dev, which made no choice: performance 0.8710")
    table = verdict_table(given.verdicts, given.probabilities, given.chosen).set_index("group")
    assert table.loc["S8-I4", "verdict"] == "chosen: probability .93"
    assert table.loc["constant answer", "performance"] == pytest.approx(0.2)


@pytest.mark.parametrize(("changes", "begin"), [
    ({"decided": False, "rivals": (3, 4), "missing": 3}, "Not decided: undecided between S8-I4"),
    ({"chosen": 0}, "Keep separate models: no cheaper regime keeps 99%"),
    ({"dev": None}, "Take S8-I4: it keeps at least 99% of it with probability .93"),
])  # fmt: skip
def test_a_search_without_an_answer_says_so(changes, begin):
    given = make_answer(SEARCHED, [], [history(**changes)])
    assert given.sentence.startswith(begin)
    assert (given.chosen is SEARCHED[0]) == ("chosen" in changes)


def test_the_searched_regimes_are_those_of_the_sweep_alone():
    elsewhere = [group("I12"), group("S8-I4", sweep="other", trial=1)]
    given = make_answer(elsewhere, [], [history()])
    assert given.probabilities == {} and "probability" not in given.sentence
