"""Labels of a source become the task's, or are refused with what is allowed."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_sharing.data.tasks.labels import LabelReader, LabelSpace, label_reader
from mtl_sharing.errors import UserError

BINARY = LabelSpace(2, None, None)
NAMED = LabelSpace(3, ("bad", "so so", "good"), None)
SCORES = LabelSpace(None, None, (0.0, 5.0))
WHERE = "task.x.sources.y"


@pytest.mark.parametrize(
    ("space", "text", "label"),
    [(BINARY, "1", 1), (BINARY, "1.0", 1), (NAMED, "good", 2), (SCORES, "4.5", 4.5)],
)
def test_without_map_and_limits_a_label_is_the_tasks_own(
    space: LabelSpace, text: str, label: float
) -> None:
    for reader in (LabelReader(space), label_reader(WHERE, space, None, None)):
        result = reader.read(text, "a.csv:2")
        assert (result, type(result)) == (label, type(label))


def test_a_map_gives_the_class_that_it_names() -> None:
    to_numbers = label_reader(WHERE, BINARY, {"ENTAILMENT": 1, " NEUTRAL ": "0"}, None)
    assert to_numbers.classes == {"ENTAILMENT": 1, "NEUTRAL": 0}
    to_names = label_reader(WHERE, NAMED, {"0": "bad", "1": "good"}, None)
    assert [to_names.read(text, "a:1") for text in ("1", "0")] == [2, 0]


@pytest.mark.parametrize(
    ("text", "score"), [("1", 0.0), ("2", 1.25), ("3", 2.5), ("4.5", 4.375), ("5", 5.0)]
)
def test_relatedness_of_1_to_5_becomes_similarity_of_0_to_5(text: str, score: float) -> None:
    assert label_reader(WHERE, SCORES, None, [1, 5]).read(text, "a:1") == score


numbers = st.integers(-1000, 1000)


@given(numbers, st.integers(1, 500), numbers, st.integers(1, 500), st.fractions(0, 1))
def test_rescaling_is_the_linear_map_between_the_limits(
    own_low: int, own_width: int, low: int, width: int, share: Fraction
) -> None:
    """Held against exact fractions; the result never leaves the task's range."""
    space = LabelSpace(None, None, (float(low), float(low + width)))
    reader = label_reader(WHERE, space, None, [own_low, own_low + own_width])
    value = float(own_low + share * own_width)
    value = min(max(value, own_low), own_low + own_width)
    exact = low + (Fraction(value) - own_low) / own_width * width
    result = reader.read(repr(value), "a:1")
    assert result == pytest.approx(float(exact), abs=1e-9)
    assert low <= result <= low + width


@pytest.mark.parametrize(
    ("reader", "text", "allowed"),
    [
        (LabelReader(SCORES), "5.5", "a number from 0 to 5$"),
        (label_reader(WHERE, SCORES, None, None), "7", "from 0 to 5 as in the task, or "
         r"the source's own in task\.x\.sources\.y\.range$"),
        (label_reader(WHERE, BINARY, None, None), "yes", r"0 to 1 as .*sources\.y\.labels$"),
        (label_reader(WHERE, SCORES, None, [1, 5]), "0.5", r"1 to 5 \(task\.x\.sources\.y\.range"),
        (label_reader(WHERE, SCORES, None, [1, 5]), "nan", "a number from 1 to 5"),
        (label_reader(WHERE, SCORES, None, [1, 5]), "high", "a number from 1 to 5"),
        (label_reader(WHERE, BINARY, {"yes": 1, "no": 0}, None), "yess",
         r"yes, no \(nearest: yes\) \(task\.x\.sources\.y\.labels\)"),
        (label_reader(WHERE, BINARY, {"yes": 1, "no": 0}, None), "1", "yes, no"),
        (LabelReader(LabelSpace(2, ("False", "True"), None)), "yes",
         r"False, True \(YAML reads yes as True: quote it, as in labels: \['yes'\]\)$"),
    ],
)  # fmt: skip
def test_a_label_that_is_none_says_what_is_allowed(
    reader: LabelReader, text: str, allowed: str
) -> None:
    with pytest.raises(
        UserError, match=rf"a\.csv:7: found the label '{text}'; allowed: .*{allowed}"
    ):
        reader.read(text, "a.csv:7")


@pytest.mark.parametrize(
    ("space", "labels", "limits", "message"),
    [
        (SCORES, {"a": 1}, None, r"y\.labels: .*null for a regression; see range"),
        (BINARY, None, [0, 1], r"y\.range: found \[0, 1\]; allowed: null for classes; see labels"),
        (BINARY, {}, None, r"y\.labels: found an empty map"),
        (BINARY, {"yes": 2}, None, r"y\.labels\.yes: found 2; allowed: a whole number 0 to 1"),
        (NAMED, {"1": "god"}, None, r"y\.labels\.1: found 'god'; .*\(nearest: good\)"),
        (
            BINARY,
            {"\u00e9": 0, "e\u0301": 1},
            None,
            r"y\.labels: found .* twice \(U\+00E9 and U\+0065 "
            r"U\+0301\); allowed: each name only once",
        ),
        (SCORES, None, [5, 1], r"y\.range: found \[5, 1\]; .*the lower one first"),
        (SCORES, None, [1], r"y\.range: found \[1\]; allowed: two numbers"),
    ],
)
def test_a_map_or_limits_that_do_not_fit_the_task_are_named(
    space: LabelSpace, labels: dict[str, int | str], limits: list[float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        label_reader(WHERE, space, labels, limits)


def test_a_label_of_the_data_is_never_resolved(monkeypatch) -> None:
    monkeypatch.setenv("COUNT", "3")
    reader = LabelReader(LabelSpace(2, ("2", "3"), None))
    text = "${oc.decode:${oc.env:COUNT}}"
    with pytest.raises(UserError) as error:
        reader.read(text, "a.csv:7")
    assert "YAML reads" not in error.value.allowed
