"""decision.json: what is written is read, and what a search does not write is refused."""

import json
from dataclasses import replace

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.decision import probability_text
from mtl_sharing.run_folder.decision_file import read_decision, write_decision
from report_runs import set_in
from search_reports import DEV, SEPARATE, decision, estimate, split


def test_what_is_written_is_read(tmp_path):
    assert read_decision(tmp_path) is None
    for one in (decision(), decision(dev=None, following=None, missing=None, decided=False)):
        write_decision(tmp_path, one)
        assert read_decision(tmp_path) == one
    write_decision(tmp_path, decision())
    record = json.loads((tmp_path / "decision.json").read_text())
    assert (record["schema"], record["reference"], record["chosen"]) == (1, 0, 3)
    assert record["question"] == {"keep": 0.99, "confidence": 0.9, "seeds": [0, 1, 2, 3]}
    assert record["next"] == {"regime": 4, "seed": 2}
    assert record["regimes"][0]["point"] is None
    assert record["regimes"][3]["performances"] == [0.79, 0.81, 0.80]
    assert record["dev"]["p"] == 0.31


def test_a_file_of_before_the_noise_of_held_out_examples_is_read(tmp_path):
    write_decision(tmp_path, decision(held_out=0.01))
    assert read_decision(tmp_path).held_out == 0.01
    record = json.loads((tmp_path / "decision.json").read_text())
    del record["held_out"]
    (tmp_path / "decision.json").write_text(json.dumps(record))
    assert read_decision(tmp_path) == decision()


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("schema", 2, "schema 2, where 1 is read"),
        ("chosen", 6, "a position of no regime"),
        ("next.regime", -1, "a position of no regime"),
        ("chosen", True, "True, where a number is expected"),
        ("chosen", 1.5, "1.5, where a number is expected"),
        ("question.keep", float("nan"), "nan, where a number is expected"),
        ("question.seeds", 3, "a number, where a list is expected"),
        ("question", {}, "no keep"),
        ("decided", 1, "a number, where a boolean is expected"),
        ("sentence", "\ud800", "surrogates not allowed"),
        ("sentence", "a" * 3000, "a text of 3,000 characters"),
        ("regimes", [], "no separate models first"),
        ("regimes", [5], "a number, where an object is expected"),
        ("dev.low", "0", "0, where a number is expected"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_with_its_fault(tmp_path, path, value, reason):
    write_decision(tmp_path, decision())
    record = json.loads((tmp_path / "decision.json").read_text())
    set_in(record, path, value)
    (tmp_path / "decision.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=reason) as raised:
        read_decision(tmp_path)
    assert raised.value.where.endswith("decision.json")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"seeds": (0,)}, "differ in number"), ({"probability": 1.5}, "where a probability")],
)
def test_figures_of_a_regime_that_do_not_fit(tmp_path, changes, reason):
    regimes = (SEPARATE, replace(split(6, 0.5, (0.7, 0.8)), **changes))
    write_decision(tmp_path, decision(regimes=regimes, chosen=1, following=None))
    with pytest.raises(UserError, match=reason):
        read_decision(tmp_path)


def test_a_cut_file_is_damaged(tmp_path):
    write_decision(tmp_path, decision())
    path = tmp_path / "decision.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(UserError, match="a damaged file"):
        read_decision(tmp_path)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, ".00"), (0.004, "<.01"), (0.07, ".07"), (0.29, ".29"), (0.899, ".89"), (0.9, ".90"),
     (0.934, ".93"), (0.996, ".99"), (1.0, "1")],
)  # fmt: skip
def test_a_probability_is_rounded_down(value, text):
    assert probability_text(value) == text


def test_the_shown_regimes_are_at_most_twelve_beside_separate_models():
    """Those that the answer names, then trained ones, the most doubtful first."""
    trained = [split(n, 0.3 + n / 100, (0.8,)) for n in range(8)]
    # Equal regimes with other settings are shown once.
    doubtful = [split(8, 0.5), split(9, 0.5), split(9, 0.4), split(10, 0.6)]
    untouched = [estimate("sure", 0.99, point={}), estimate("hopeless", 0.01, point={})]
    one = decision(regimes=(SEPARATE, *trained, *doubtful, *untouched), chosen=13, rivals=(14,),
                   following=(13, 0))  # fmt: skip
    assert one.shown() == [0, *range(1, 11), 13, 14]
    assert one.shown(4) == [0, 7, 8, 13, 14]


def test_the_comparison_on_dev_in_words():
    assert DEV.text == (
        "performance 0.8710, theirs 0.8750, 99.5% of separate models' performance; difference "
        "-0.0040 [-0.0120, +0.0040], p 0.31, a test; seeds 0, 1"
    )
    none = replace(DEV, seeds=(), difference=None, low=None, high=None, p=None, note="no seed")
    assert none.text.endswith("99.5% of separate models' performance (no seed)")
