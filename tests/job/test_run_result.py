"""A run in three lines."""

import copy
import json
import pickle
from pathlib import Path

from mtl_sharing.job.run_result import RunResult, run_text

RESULT = {
    "regime": "S6-I6", "seed": 3, "status": "finished", "params": {"total": 1234567, "shared": 89},
    "performance": 0.75, "kept": 0.981, "score": None, "untrained": [],
    "tasks": {"topics": {"metric": "accuracy", "value": 0.9, "floor": 0.25},
              "pairs": {"metric": "pearson", "value": -0.1, "floor": 0.0}},
}  # fmt: skip


def test_a_result_is_its_dict_and_shows_three_lines():
    result = RunResult(RESULT, Path("outputs/mine"))
    assert repr(result).splitlines() == [
        "S6-I6 (seed 3): 1,234,567 parameters, 89 shared; performance 0.7500; kept 98.1%"
        "  [pairs at or below a constant answer]",
        "topics accuracy 0.900 (floor 0.250), pairs pearson -0.100 (floor 0.000)",
        "outputs/mine",
    ]
    assert result == RESULT and json.loads(json.dumps(result)) == RESULT
    for twin in (copy.copy(result), pickle.loads(pickle.dumps(result))):
        assert (twin, twin.folder) == (result, result.folder)


def test_what_a_run_lacks_is_left_out_and_names_do_not_act():
    run = {"regime": "S2", "seed": 0, "params": {"total": 5}, "status": "stopped"}
    text = run_text(run | {"tasks": {"a": {}, "\x1b[2J\nb": {}}}, Path("x\ny"))
    assert text.splitlines() == ["S2 (seed 0): 5 parameters; stopped", "a, \\x1b[2J\\nb", "x\\ny"]
