"""How a score was timed, in words."""

import pytest

from mtl_sharing.score.clock import (
    clock_of,
    clock_of_rows,
    is_timed,
    machine_text,
    pair_range,
    range_text,
)

RESULT = {
    "plan": "S6-I6", "parts": {}, "score": 1.5, "scored_by": {"clock": "measured", "time": "train"},
    "machine": {"device": "AMD EPYC", "threads": 1, "precision": "fp32", "system": "Linux"},
    "baseline": {"pairs": 3, "train_ratio_range": [0.9, 1.126], "predict_ratio_range": [1, 2.0]},
}  # fmt: skip


@pytest.mark.parametrize(("changes", "timed"), [
    ({}, True), ({"scored_by": {"clock": "flops"}}, False), ({"score": None}, False),
    ({"plan": "I12"}, False), ({"plan": "I12", "parts": {"pals": {}}}, True),
    ({"scored_by": {}}, False),
    ({"scored_by": {"clock": "measured", "time_exponent": 0.0, "memory": "model"}}, False),
    ({"scored_by": {"clock": "measured", "time_exponent": 0.0, "memory": "peak_train"}}, True),
    ({"scored_by": {"clock": "measured", "time_exponent": 0.5, "memory": "model"}}, True),
])  # fmt: skip
def test_which_scores_move_with_the_machine(changes, timed):
    assert is_timed(RESULT | changes) is timed


def test_the_machine_and_the_pairs_in_words():
    assert machine_text(RESULT["machine"]) == "AMD EPYC, 1 thread, fp32"
    assert machine_text({"device": "H200", "threads": 8}) == "H200, 8 threads"
    assert machine_text(None) == ""
    assert range_text(pair_range(RESULT)) == "0.90 to 1.13"
    by_prediction = RESULT | {"scored_by": {"clock": "measured", "time": "predict"}}
    assert range_text(pair_range(by_prediction)) == "1.00 to 2.00"
    assert range_text(pair_range({"baseline": None})) == "-"


def test_several_clocks_have_all_machines_and_the_whole_range():
    other = RESULT | {
        "machine": {"device": "H200"}, "baseline": {"train_ratio_range": [0.8, 1.0]},
    }  # fmt: skip
    clock = clock_of([RESULT, other, RESULT, RESULT | {"plan": "I12", "machine": None}])
    assert clock.machines == ("AMD EPYC, 1 thread, fp32", "H200")
    assert clock.pairs == (0.8, 1.126)
    text = "measured on AMD EPYC, 1 thread, fp32; H200; timed pairs: 0.80 to 1.13 x"
    assert str(clock) == text
    # The same again from the columns of sweep.csv.
    rows = [clock_of([one]).columns for one in (RESULT, other)] + [clock_of([]).columns, {}]
    assert clock_of_rows(rows) == clock_of_rows([clock.columns]) == clock
    assert clock_of_rows([{}]).machines == ()
    assert clock_of([RESULT | {"machine": None}]).machines == ("an unknown machine",)
