"""The lines below a sweep's table."""

from pathlib import Path
from types import SimpleNamespace

from optuna.trial import TrialState

from mtl_sharing.sweep.output.summary import _answer, _cells, _lines
from mtl_sharing.sweep.study.attributes import METRICS, REGIME
from mtl_sharing.sweep.study.records import References


def trial(number, machine=None, low=None, high=None):
    """A complete trial that was timed on a machine."""
    metrics = {"performance": 0.8, "dev_performance": 0.8, "parameters": 100, "time": 0.9,
               "memory": 0.5, "floor_performance": 0.4, "machine": machine, "pairs_low": low,
               "pairs_high": high}  # fmt: skip
    attributes = {METRICS: metrics, REGIME: f"S{number}"}
    return SimpleNamespace(number=number, user_attrs=attributes, state=TrialState.COMPLETE,
                           values=[1.0], params={})  # fmt: skip


def reporter(trials):
    """What ``_lines`` reads of a sweep."""
    study = SimpleNamespace(folder=Path("sweep"), trials=lambda: trials)
    score = SimpleNamespace(keep=0.99)
    spec = SimpleNamespace(objectives=("keep",), config=SimpleNamespace(score=score))
    return SimpleNamespace(study=study, spec=spec, references=lambda: References(1.0, 1.0))


def test_the_clock_is_that_of_all_shown_trials():
    trials = [trial(3, "EPYC", 1.0, 1.1), trial(1, "H200", 0.8, 1.0), trial(0),
              trial(2, "EPYC", 0.9, 1.3)]  # fmt: skip
    lines = dict(_lines(reporter(trials), trials, None))
    assert lines["clock"] == "measured on EPYC; H200; timed pairs: 0.80 to 1.30 x"
    assert "clock" not in dict(_lines(reporter(trials), [trial(0)], None))


def test_the_nearest_is_not_called_the_best_where_no_regime_keeps():
    (nearest,) = trials = [trial(3)]
    nearest.values = [-0.02]
    text = _answer(reporter(trials).spec, nearest, References(1.0, 1.0), 200)
    assert text.startswith("no regime keeps 99% of separate models' performance")
    assert "; the nearest is S3, which reaches 0.8000 and keeps 80.0% of separate models" in text
    assert text.endswith(", with 50.0% of their parameters")


def test_the_headers_name_the_floor_and_what_is_kept_above_it():
    cells = _cells(trial(1), ["performance"], References(1.0, 1.0), None)
    assert cells["floor"] == "0.4000"
    assert (cells["kept"], cells["kept above floor"]) == ("80.0%", "66.7%")
