"""The weighted score against published rows, and the objective beside it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_sharing.errors import UserError
from mtl_sharing.score.objectives import (
    Multipliers,
    check_score,
    keep_objective,
    saved_cost,
    weighted_score,
)
from mtl_sharing.score.reference import reference_performance
from mtl_sharing.score.settings import ScoreConfig

# mops report, fine-tuned encoder: performance, train s, model kb, score.
ROWS = {
    "I-I-I": (0.492, 6382.58, 1352, 0.492),
    "I-S-S": (0.500, 5656.93, 1324, 0.576),
    "S-I-S": (0.469, 5268.08, 1324, 0.580),
}


@pytest.mark.parametrize("row", ROWS)
def test_published_rows(row):
    performance, seconds, kilobytes, wanted = ROWS[row]
    _, base_seconds, base_kilobytes, _ = ROWS["I-I-I"]
    saved = Multipliers(base_kilobytes / kilobytes, base_seconds / seconds)
    assert round(weighted_score(performance, saved, 1, 1), 3) == wanted


def test_exponents_weigh_each_saving_by_itself():
    saved = Multipliers(memory=3.0, time=2.0)
    assert weighted_score(0.5, saved, 0, 0) == 0.5
    assert weighted_score(0.5, saved, 1, 0) == 1.5
    assert weighted_score(0.5, saved, 0, 1) == 1.0
    assert weighted_score(0.5, saved, 2, 1) == 9.0


share, ratio = st.floats(0, 1.5), st.floats(0.01, 100)


@settings(deadline=None)
@given(share, ratio, ratio, share, ratio, ratio, st.floats(0.01, 1))
def test_keep_puts_enough_before_too_little_and_cheap_before_dear(k1, m1, t1, k2, m2, t2, keep):
    first = keep_objective(k1, keep, saved_cost(Multipliers(m1, t1), 1, 1))
    second = keep_objective(k2, keep, saved_cost(Multipliers(m2, t2), 1, 1))
    if (k1 >= keep) != (k2 >= keep):
        assert (first > second) == (k1 >= keep)
    elif k1 >= keep:
        assert (first > second) == (m1 * t1 > m2 * t2)
    else:
        assert first < 0
        assert second < 0
        assert (first >= second) == (k1 - keep >= k2 - keep)


@pytest.mark.parametrize(
    "changes",
    [{"memory": "disk"}, {"time": "eval"}, {"pearson": "squared"}, {"objective": "best"},
     {"keep": 0.0}, {"keep": 1.01}, {"pairs": -1}, {"clock": "sundial"}],
)  # fmt: skip
def test_settings_outside_their_choices_are_named(changes):
    (name,) = changes
    with pytest.raises(UserError, match=rf"score\.{name}"):
        check_score(ScoreConfig(**changes))
    check_score(ScoreConfig())


def test_a_peak_is_not_counted_in_operations():
    with pytest.raises(UserError, match=r"score\.memory: .*peak_train.*flops.*measured"):
        check_score(ScoreConfig(memory="peak_train", clock="flops"))
    check_score(ScoreConfig(memory="peak_train"))
    check_score(ScoreConfig(clock="flops"))


TASKS = ("sst", "sts")
FINISHED = {
    "status": "finished",
    "plan": "I12",
    "performance": 0.71,
    "performance_raw_r": 0.63,
    "tasks": dict.fromkeys(TASKS),
}


def reference(source: object, pearson: str = "unit") -> float | None:
    config = ScoreConfig(reference=None if source is None else str(source), pearson=pearson)
    return reference_performance(config, TASKS)


def test_the_reference_is_a_number_or_a_finished_run_of_separate_models(tmp_path):
    assert reference(None) is None
    assert reference(0.83) == 0.83
    (tmp_path / "result.json").write_text(json.dumps(FINISHED))
    assert reference(tmp_path) == 0.71
    assert reference(tmp_path, pearson="raw") == 0.63
    # Separate models may read cleaned and tagged text, too.
    text = {"parts": {"clean": {"steps": ["lower"]}, "tags": {"pos": ["NOUN"]}}}
    (tmp_path / "result.json").write_text(json.dumps(FINISHED | text))
    assert reference(tmp_path) == 0.71


@pytest.mark.parametrize(
    "change",
    [{"status": "stopped"}, {"plan": "S6-I6"}, {"performance": None}, {"tasks": {"sst": None}},
     {"parts": {"lanes": {}}}],
)  # fmt: skip
def test_another_run_is_no_reference(tmp_path, change):
    (tmp_path / "result.json").write_text(json.dumps(FINISHED | change))
    with pytest.raises(UserError, match=r"score\.reference"):
        reference(tmp_path)


@pytest.mark.parametrize("source", ["nan", "inf", "0", "-1", "nowhere"])
def test_what_is_no_performance_is_no_reference(source):
    with pytest.raises(UserError, match=r"score\.reference"):
        reference(source)
