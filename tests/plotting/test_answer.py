"""The picture of a search's answer: its data by hand, and that it is drawn."""

from dataclasses import replace

from mtl_sharing.plotting.answer import (
    Bar,
    CurvePoint,
    bar_data,
    curve_data,
    draw_answer,
    draw_answer_file,
    enough_data,
    is_by_split,
    training_data,
)
from mtl_sharing.plotting.style import drawing
from search_reports import SEPARATE, SPLITS, decision, estimate, split

MIXED = (
    SEPARATE,
    split(6, 0.6, (0.79,), 0.79),
    replace(split(6, 0.7, mean=0.795), label="S6-I6  sampler=annealed start=0.3"),
    estimate("S12 + pals 16", 0.2, (0.7,), 0.7, {"kind": "pals"}, parameters=0.4),
)


def test_splits_stand_at_their_shared_layers():
    one = decision()
    assert is_by_split(one)
    curve = curve_data(one)
    assert [point.x for point in curve] == [0, 3, 6, 8, 9, 12]
    assert curve[3] == CurvePoint(8, 0.8, 0.8 - 0.03, 0.8 + 0.03, 3)
    assert training_data(one)[:3] == [(0, 0.79), (0, 0.81), (3, 0.80)]


def test_other_regimes_stand_at_their_parameters_and_the_likeliest_counts():
    one = decision(regimes=MIXED, chosen=2, following=None)
    assert not is_by_split(one)
    assert [(point.x, point.position) for point in curve_data(one)] == [
        (0.4, 3), (round(1 - 6 / 18, 6), 2), (1.0, 0),
    ]  # fmt: skip
    assert training_data(one)[2:] == [(round(1 - 6 / 18, 6), 0.79), (0.4, 0.7)]


def test_what_is_enough_has_the_references_interval():
    assert enough_data(decision()) == (0.99 * 0.8, 0.99 * (0.8 - 0.03), 0.99 * (0.8 + 0.03))


def test_a_bar_for_each_shown_regime_but_separate_models():
    bars = bar_data(decision())
    assert [bar.label for bar in bars] == ["S3-I9", "S8-I4", "S9-I3", "S12"]
    assert bars[1] == Bar("S8-I4", 0.934, 3, True)
    assert len(SPLITS) == 6


def test_the_curve_its_points_and_its_bars_are_drawn():
    with drawing():
        upper, lower = draw_answer(decision()).axes
    (band,) = [one for one in upper.collections if one.get_label() == "90% interval"]
    assert band.get_paths()[0].get_extents().y1 == 0.802 + 0.03
    (points,) = [one for one in upper.collections if one.get_label() == "one training"]
    assert len(points.get_offsets()) == 8
    assert [patch.get_width() for patch in lower.patches] == [0.97, 0.934, 0.40, 0.02]
    assert any("S8-I4  .93" in text.get_text() for text in upper.texts)


def test_the_file_whatever_the_answer(tmp_path):
    alone = decision(regimes=(SEPARATE,), chosen=0, following=None)
    for one in (alone, decision(regimes=MIXED, chosen=2, decided=False, following=None)):
        draw_answer_file(tmp_path, "search", one)
        assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
