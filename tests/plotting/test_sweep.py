"""The data of sweep.png by hand, and that it is drawn whatever the states of the trials."""

import optuna
import pytest
from optuna.trial import TrialState

from mtl_sharing.plotting.style import drawing
from mtl_sharing.plotting.sweep import PICTURE, draw_sweep, sweep_figure, title_of
from mtl_sharing.plotting.trials import (
    AT_FLOOR,
    TrialPoint,
    history_data,
    importance_data,
    lowest_shown,
    shared_layers,
    trial_points,
)
from mtl_sharing.score.settings import ScoreConfig


def row(trial, regime, performance, parameters=0, state="COMPLETE", value=None, **other):
    return {
        "trial": trial, "regime": regime, "performance": performance, "state": state,
        "parameters": parameters, "objective/performance": performance if value is None else value,
        "objective/memory": parameters or None, "same_as": None, "last_report": None, **other,
    }  # fmt: skip


ROWS = [
    row(0, "I12", 0.70, 9_000_000),
    row(1, "S6-I6", 0.75, 6_000_000),
    row(2, "S12", 0.60, 3_000_000),
    row(3, "F2-S4-I6", None, state="PRUNED", last_report=0.5),
    row(4, None, None, state="FAIL"),
    row(5, "S6-I6", 0.75, 6_000_000, same_as=1),
    row(6, "S11-I1/S-I + pals 16", 0.72, 6_000_000),
]


@pytest.mark.parametrize(("regime", "shared"), [
    ("I12", 0), ("S12", 12), ("F2-S4-I6/S-I + pals 16", 6), ("I3-F6-S3", 9), ("T4-I8", 0),
    ("EF-F1-I1-F10-PF", 11), ("S10-G2:quora+sts", 10),
])  # fmt: skip
def test_layers_that_all_tasks_share(regime, shared):
    assert shared_layers(regime) == shared


SPLITS = [row for row in ROWS if row["regime"] not in ("F2-S4-I6", "S11-I1/S-I + pals 16")]


def test_regimes_that_differ_in_their_split_stand_at_it():
    pruned = row(7, "S9-I3", None, None, state="PRUNED", last_report=0.5)
    assert trial_points([*SPLITS, pruned]) == [
        TrialPoint(0, 0.70, "COMPLETE", "I12"), TrialPoint(6, 0.75, "COMPLETE", "S6-I6", True),
        TrialPoint(12, 0.60, "COMPLETE", "S12", True), TrialPoint(9, 0.5, "PRUNED", "S9-I3"),
    ]  # fmt: skip


def test_other_regimes_stand_at_their_size_and_nothing_smaller_beats_the_front():
    points = {(p.x, p.performance, p.regime, p.front) for p in trial_points(ROWS)}
    assert points == {
        (9.0, 0.70, "I12", False), (6.0, 0.75, "S6-I6", True), (3.0, 0.60, "S12", True),
        (6.0, 0.72, "S11-I1/S-I + pals 16", False),
    }  # fmt: skip


def test_a_task_at_its_floor_is_marked_and_on_no_front():
    rows = [ROWS[0], ROWS[1], ROWS[2] | {"at_floor": "sts", "performance": 0.9}]
    assert trial_points(rows)[-1] == TrialPoint(12, 0.9, AT_FLOOR, "S12")
    assert [point.front for point in trial_points(rows)] == [False, True, False]


def test_the_best_so_far_goes_the_objectives_way():
    up = [best for _, _, best in history_data(ROWS, ["performance"])]
    assert up == [0.70, 0.75, 0.75, 0.75, 0.75]
    down = [best for _, _, best in history_data(ROWS, ["memory"])]
    assert down == [9_000_000, 6_000_000, 3_000_000, 3_000_000, 3_000_000]


def test_the_title_counts_what_was_trained():
    assert title_of("mine", ROWS) == "mine: 6 trials, 1 more drawn equal to them"


def test_the_title_names_every_machine_and_the_whole_range_of_the_pairs():
    clocks = [("EPYC", 0.9, 1.1), (None, None, None), ("H200", 1.0, 1.4), ("EPYC", 0.8, 1.0)]
    timed = [dict(zip(("machine", "pairs_low", "pairs_high"), c, strict=True)) for c in clocks]
    rows = [row | clock for row, clock in zip(ROWS, timed, strict=False)]
    found = title_of("mine", rows).partition("; ")[2]
    assert found == "measured on EPYC; H200; timed pairs: 0.80 to 1.40 x"


def studied(values, *directions):
    """A study whose value depends on ``a`` alone."""
    study = optuna.create_study(directions=directions or ["maximize"])
    ranges = {name: optuna.distributions.IntDistribution(0, 9) for name in "ab"}
    for number, value in enumerate(values):
        drawn = {"a": number % 10, "b": number // 10}
        ended = {"values": [value] * len(study.directions)}
        if value is None:
            ended = {"state": TrialState.FAIL}
        study.add_trial(optuna.trial.create_trial(params=drawn, distributions=ranges, **ended))
    return study


def test_what_mattered_is_what_the_objective_depends_on():
    for directions in (["maximize"], ["maximize", "minimize"]):
        importance = importance_data(studied([n % 10 for n in range(40)], *directions))
        assert list(importance) == ["a", "b"] and importance["a"] > 0.8
    assert importance_data(studied([n % 10 for n in range(9)])) == {}


def test_one_parameter_alone_has_no_importance():
    study = optuna.create_study(directions=["maximize"])
    only = {"a": optuna.distributions.IntDistribution(0, 40)}
    for n in range(40):
        study.add_trial(optuna.trial.create_trial(params={"a": n}, distributions=only, value=n))
    assert importance_data(study) == {}


def test_tasks_at_their_floor_leave_room_for_the_other_trials():
    assert lowest_shown([2.0, -0.5, -1.1, -3.0], "keep") == pytest.approx(-0.5 - 0.15 * 2.5)
    assert lowest_shown([-2.0, -3.0], "keep") == -3.0
    assert lowest_shown([0.5, -3.0], "weighted") == -3.0


def test_what_is_enough_is_drawn_and_nothing_that_says_nothing():
    with drawing():
        figure = sweep_figure(SPLITS, ["performance"], 0.7, ScoreConfig(keep=0.9), {})
        alone = sweep_figure(SPLITS[:1], ["performance"], None, ScoreConfig(), {})
    performance, history = figure.axes
    assert [line.get_ydata()[0] for line in performance.lines[-2:]] == [0.7, 0.9 * 0.7]
    assert history.get_title(loc="left") == "in the order of the trials"
    assert len(alone.axes) == 1


@pytest.mark.parametrize(
    ("rows", "reference"), [([], None), (ROWS[:1], 0.7), (ROWS[3:5], None), (ROWS, 0.7)]
)
def test_it_is_drawn_whatever_the_states_of_the_trials(tmp_path, rows, reference):
    values = [row["performance"] for row in rows]
    flagged = {"selected_on": "select", "floor_performance": 0.4, "at_floor": "sts"}
    rows = [row | flagged if row["state"] == "COMPLETE" else row for row in rows]
    draw_sweep(tmp_path, rows, ["performance"], reference, ScoreConfig(), studied(values))
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == [PICTURE]
