"""The data of sweep.png by hand, and that it is drawn whatever the states of the trials."""

import optuna
import pytest
from optuna.trial import TrialState

from mtl_sharing.plotting.sweep import (
    AT_FLOOR,
    BEHIND,
    FRONT,
    PICTURE,
    cost_data,
    draw_sweep,
    history_data,
    importance_data,
    shared_layers,
    split_data,
    title_of,
)


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


def test_a_pruned_trial_stands_where_it_was_seen_last_and_a_failed_one_nowhere():
    assert split_data(ROWS) == [
        (0, 0.70, "COMPLETE"), (6, 0.75, "COMPLETE"), (12, 0.60, "COMPLETE"), (6, 0.5, "PRUNED"),
        (6, 0.75, "COMPLETE"), (11, 0.72, "COMPLETE"),
    ]  # fmt: skip


def test_the_front_is_what_nothing_smaller_or_as_small_beats():
    assert cost_data(ROWS) == [
        (3.0, 0.60, "S12", FRONT), (6.0, 0.75, "S6-I6", FRONT),
        (6.0, 0.72, "S11-I1/S-I + pals 16", BEHIND), (9.0, 0.70, "I12", BEHIND),
    ]  # fmt: skip


def test_a_task_at_its_floor_is_marked_and_on_no_front():
    rows = [ROWS[0], ROWS[1], ROWS[2] | {"at_floor": "sts", "performance": 0.9}]
    assert split_data(rows)[-1] == (12, 0.9, AT_FLOOR)
    colours = {regime: colour for _, _, regime, colour in cost_data(rows)}
    assert colours["S12"] not in (FRONT, BEHIND)
    assert (colours["S6-I6"], colours["I12"]) == (FRONT, BEHIND)


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
    found = title_of("mine", rows).splitlines()[1]
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
    assert importance_data(studied([1.0])) == {}


@pytest.mark.parametrize(
    ("rows", "reference"), [([], None), (ROWS[:1], 0.7), (ROWS[3:5], None), (ROWS, 0.7)]
)
def test_it_is_drawn_whatever_the_states_of_the_trials(tmp_path, rows, reference):
    values = [row["performance"] for row in rows]
    flagged = {"split": "select", "floor_performance": 0.4, "at_floor": "sts"}
    rows = [row | flagged if row["state"] == "COMPLETE" else row for row in rows]
    draw_sweep(tmp_path, rows, ["performance"], reference, studied(values))
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == [PICTURE]
