"""The answer of a search in words."""

from types import SimpleNamespace

import pytest

from mtl_sharing.run_folder.decision_sentence import sentence
from mtl_sharing.sweep.loop.search import RegimeSearch
from mtl_sharing.sweep.output.answer import answer_table
from search_reports import SEPARATE, SPLITS, decision, estimate, split


def test_a_sure_answer_names_regime_probability_size_trainings_and_next_evidence():
    assert sentence(decision()) == (
        "S8-I4 keeps 99% of separate models with probability .93 at 56% of their parameters; "
        "8 trainings; the next best evidence would be S9-I3 with seed 2"
    )


def test_an_undecided_search_names_both_regimes_and_what_it_would_take():
    undecided = decision(decided=False, rivals=(4, 3), following=(0, 1), missing=5)
    assert sentence(undecided) == (
        "undecided between S9-I3 and S8-I4: about 5 more trainings; so far S8-I4 with probability "
        ".93 after 8 trainings; the next best evidence would be separate models with seed 1"
    )


def test_no_regime_keeps_enough():
    none = decision(regimes=(SEPARATE, split(3, 0.31, (0.7,)), split(12, 0.002, (0.6,))), chosen=0,
                  following=(1, 1))  # fmt: skip
    assert sentence(none).startswith(
        "no cheaper regime keeps 99% of separate models with probability .90: "
        "S3-I9 comes nearest with .31; 4 trainings; "
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        # Interrupted after its first training, that of separate models.
        ({"regimes": (estimate("I12", 1.0, (0.8,)), split(6, 0.5), split(12, 0.5)), "chosen": 2,
          "rivals": (2, 1), "following": (2, 0), "missing": None},
         "undecided between S12 and S6-I6: many more trainings; so far S12 with probability .50 "
         "after 1 training; the next best evidence would be S12 with seed 0"),
        ({"rivals": (0,), "chosen": 0, "following": (0, 1), "missing": 1},
         "not yet sure: about 1 more training; so far separate models after "
         "8 trainings; the next best evidence would be separate models with seed 1"),
        ({"rivals": (4, 3), "following": None, "missing": None},
         "undecided between S9-I3 and S8-I4: no training is left; so far S8-I4 with probability "
         ".93 after 8 trainings"),
    ],
)  # fmt: skip
def test_other_undecided_searches(changes, text):
    assert sentence(decision(decided=False, **changes)) == text


def test_every_other_regime_has_failed_and_no_training_is_left():
    failed = estimate("S6-I6", 0.0, point={"split": 6})
    alone = decision(regimes=(SEPARATE, failed), chosen=0, following=None)
    text = "no cheaper regime keeps 99% of separate models with probability .90: "
    why = "each failed or is no better than a constant answer; 2 trainings"
    assert sentence(alone) == text + why
    assert sentence(decision(regimes=(SEPARATE,), chosen=0, following=None)).startswith(
        f"{text}none costs less"
    )


def test_separate_models_that_are_not_above_zero_are_the_reason():
    separate = estimate("I12", 1.0, (-0.02,) * 3, mean=-0.02, kept=None)
    none = decision(regimes=(separate, split(6, 0.0, (0.3,))), chosen=0, following=None)
    assert "nothing is a share of their performance, which is not above 0" in sentence(none)


def test_settings_stand_in_the_sentence():
    label = "S6-I6  sampler=annealed start=0.3"
    one = estimate("S6-I6", 0.91, (0.8, 0.8), point={"split": 6}, label=label)
    text = sentence(decision(regimes=(SEPARATE, one), chosen=1, following=(1, 3)))
    assert text.startswith("S6-I6 sampler=annealed start=0.3 keeps 99%")
    assert text.endswith("S6-I6 sampler=annealed start=0.3 with seed 3")


def test_the_table_has_separate_models_and_what_was_trained():
    table = answer_table(decision(rivals=(4, 3)))
    columns = table.columns
    # S6-I6 is sure and was not trained.
    regimes = ["I12 (reference)", "S3-I9", "S8-I4", "S9-I3", "S12"]
    assert columns["regime"] == regimes
    assert columns["trainings"] == ["2", "1", "3", "1", "1"]
    assert columns["performance"][2] == "0.8000" and columns["kept"][2] == "100.0%"
    assert columns["90% interval"][2] == "0.7700 to 0.8300"
    assert columns["probability"] == ["-", ".97", ".93", ".40", ".02"]
    assert columns["parameters"][2] == "55.6%" and columns["cost"][2] == "0.56"
    assert columns[""] == ["", "", "chosen", "rival", ""]
    assert len(SPLITS) == 6


def test_a_label_has_the_settings_that_the_regime_does_not_show():
    kinds = {"late": ["sharing=hybrid", "sharing.template='I{individual}-S{rest}'"]}
    places = {"low": ["head.width=64", "sharing=hybrid"]}
    options = SimpleNamespace(stands_for={"kind": kinds, "place": places})
    search = RegimeSearch(SimpleNamespace(options=options))
    point = {"kind": "late", "sharing.depths.individual": 6, "place": "low",
             "sampler": "annealed", "sampler.start": 1 / 3}  # fmt: skip
    label = search._label("I6-S6", point)
    assert label == "I6-S6  place=low sampler=annealed start=0.333"
    assert search._label("S6-I6", {"split": 6, "sharing.pals.size": "1/16"}) == "S6-I6"
