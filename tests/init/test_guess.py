"""Guesses over small tables: delimiter, header, the columns of texts and label, and the kind."""

from collections import Counter

import pytest

from mtl_sharing.data.tables.tables import Record
from mtl_sharing.errors import UserError
from mtl_sharing.init.columns import describe_column
from mtl_sharing.init.guess import Labels, Wanted, guess_columns, guess_labels
from mtl_sharing.init.hints import is_pair
from mtl_sharing.init.tables import choose_delimiter, has_header

ROWS = 40
WORDS = ("film", "old", "music", "never", "runs", "slow", "end", "camera")
# Columns by what they hold: the value of each row.
VALUES = {
    "number": lambda i: 1000 + i,
    "code": lambda i: f"{7919 * (i + 1) % 9973:x}",
    "date": lambda i: f"2026-11-{1 + i % 28:02d} 09:{i:02d}",
    "text": lambda i: f"the {WORDS[i % 8]} of {i} is {WORDS[i * 3 % 7]} and so on {'and on ' * 3}",
    "other": lambda i: f"a {WORDS[i % 5]} film {i}, which is {WORDS[i % 3]}, goes on and on and on",
    "short": lambda i: f"{WORDS[i % 8]} {i}",
    "topic": lambda i: ("billing", "login", "feature request")[i % 3],
    "size": lambda i: ("small", "big")[i // 7 % 2],
    "flag": lambda i: str(i % 2),
    "stars": lambda i: 1 + i % 5,
    "score": lambda i: i * 7 % 50 / 10,
    "same": lambda i: "en",
    "nested": lambda i: {"a": i},
    "blank": lambda i: "",
}


NOTHING = Wanted()


def guess(wanted=NOTHING, **holding):
    """The guess for a table whose columns hold what the values of this name are."""
    records = [
        Record(i, {name: VALUES[kind](i) for name, kind in holding.items()}, None)
        for i in range(ROWS)
    ]
    return guess_columns("t.csv", [describe_column(name, records) for name in holding], wanted)


@pytest.mark.parametrize(
    ("holding", "text", "pair", "label"),
    [
        ("id:number created:date body:text topic:topic", "body", None, "topic"),
        ("c0:number c1:code c2:text c3:topic", "c2", None, "c3"),
        ("a:topic b:text", "b", None, "a"),
        ("x:text y:score", "x", None, "y"),
        ("x:short y:stars", "x", None, "y"),
        ("a:text b:other c:flag", "a", "b", "c"),  # alike, and no name says more
        ("title:short text:text label:flag", "text", None, "label"),
        ("question1:text question2:short dup:flag", "question1", "question2", "dup"),
        ("score:score hypothesis:text premise:other", "premise", "hypothesis", "score"),
        ("text:text label:stars label_text:topic", "text", None, "label_text"),
        ("text:text is_spam:flag lang:size", "text", None, "is_spam"),
        ("qid1:code text:text user_id:stars mark:size", "text", None, "mark"),
        ("text:text meta:nested empty:blank lang:same k:size", "text", None, "k"),
    ],
)
def test_text_and_label(holding, text, pair, label):
    found = guess(**dict(column.split(":") for column in holding.split()))
    assert (found.text, found.text_pair, found.label) == (text, pair, label)


def test_other_columns_that_could_be_meant_are_named():
    found = guess(id="number", subject="short", body="text", size="size", topic="topic")
    assert (found.id, found.text, found.label) == ("id", "body", "topic")
    assert (found.other_texts, found.other_labels) == (("subject",), ("size",))


def test_wanted_columns_are_taken_where_the_table_has_them():
    table = {"subject": "short", "body": "text", "size": "size", "topic": "topic"}
    found = guess(Wanted("subject", "body", "size"), **table)
    assert (found.text, found.text_pair, found.label) == ("subject", "body", "size")
    found = guess(Wanted(label="absent"), **table)
    assert (found.text, found.label) == ("body", "topic")
    # One text alone, although the names are those of a pair.
    assert guess(Wanted("text1"), text1="text", text2="other", y="flag").text_pair is None


@pytest.mark.parametrize(
    ("holding", "wanted", "found"),
    [
        ({"text": "text"}, NOTHING, "one column, 'text'; allowed: two or more"),
        ({"id": "number", "day": "date", "y": "flag"}, NOTHING, "id (whole numbers, all different"),
        ({"text": "text", "y": "same"}, NOTHING, "y (one value alone, 'en'); allowed"),
        ({"text": "text", "y": "code"}, NOTHING, "y (words, all different in 40 rows); allowed"),
        ({"text": "text", "y": "blank"}, NOTHING, "y (nothing); allowed"),
        ({"text": "text", "y": "flag"}, Wanted(label="text"), "text (words, all different"),
    ],
)
def test_a_table_without_text_or_label_is_refused_with_its_columns(holding, wanted, found):
    with pytest.raises(UserError) as caught:
        guess(wanted, **holding)
    assert str(caught.value).startswith("t.csv: found ") and found in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "labels"),
    [
        ("y", "0 1", Labels("binary")),
        ("y", "2 0 1", Labels("classes", classes=3)),
        ("y", "1 2 10", Labels("classes", labels=("1", "2", "10"))),
        ("y", "00 01", Labels("binary", labels=("00", "01"))),
        ("y", "yes no", Labels("binary", labels=("no", "yes"))),
        ("y", "ham spam", Labels("binary", labels=("ham", "spam"))),
        ("y", "duplicate not_duplicate", Labels("binary", labels=("not_duplicate", "duplicate"))),
        ("y", "neutral 1 bad", Labels("classes", labels=("1", "bad", "neutral"))),
        ("y", "0.5 4.75 3", Labels("regression", range=(0, 5))),
        ("similarity", "0 1 2 3", Labels("regression", range=(0, 3))),
        ("score", "0 1", Labels("binary")),
        ("y", " ".join(map(str, range(30))), Labels("regression", range=(0, 29))),
    ],
)
def test_the_kind_of_a_label(name, values, labels):
    assert guess_labels(name, Counter(values.split())) == labels


def test_names_of_pairs():
    pairs = ["sentence1 sentence2", "Question_A Question_B", "textLeft textRight", "s0 s1",
             "first_text second_text", "premise hypothesis", "query passage"]  # fmt: skip
    assert all(is_pair(*pair.split()) for pair in pairs)
    others = ["sentence2 sentence1", "title body", "data date", "text1 text3", "beta betb"]
    assert not any(is_pair(*other.split()) for other in others)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([["id", "text"], ["1", "a film"], ["2", "a show"]], True),
        ([["1", "a film"], ["2", "a show"], ["3", "an end"]], False),
        ([["0", "1"], ["a film", "good"], ["a show", "bad"]], True),  # as pandas writes them
        ([["a film", "good"], ["a show", "bad"], ["an end", "good"], ["a b", "good"]], False),
        ([["what do you think of us today", "how many"], ["a lot of good things", "3"]], True),
        ([["this was the best of all films", "x"], ["that was bad", "y"]], False),
        (
            [["0", "", "id", "sentence"], ["1", "0.0", "b75", "a film"], ["2", "0.0", "c", "d"]],
            True,
        ),
        ([["text", "label"]], True),
        ([], True),
    ],
)
def test_whether_the_first_line_is_a_header(rows, expected):
    assert has_header(rows) is expected


def test_the_delimiter_is_the_extensions_unless_another_makes_regular_rows():
    plain, ragged = [["a", "b"], ["c", "d"]], [["a"], ["b", "c"], ["d"]]
    assert choose_delimiter({",": plain, ";": [["a", "b", "c"]] * 2}) == ","
    assert choose_delimiter({",": ragged, "\t": [["x"], ["y"], ["z"]], ";": plain}) == ";"
    assert choose_delimiter({",": ragged, ";": []}) == ","
