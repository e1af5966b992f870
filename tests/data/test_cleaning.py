"""Cleaning steps against published stems, and against what each step promises of any text."""

import importlib.util
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.text.cleaning import Cleaning
from mtl_sharing.data.tokens.tokenizing import token_key, train_tokenizer
from mtl_sharing.errors import UserError
from spacy_pipelines import make_pipeline

# Of the sample vocabulary at https://snowballstem.org/algorithms/english/stemmer.html.
PORTER_2 = {
    "consign": "consign", "consigned": "consign", "consigning": "consign",
    "consignment": "consign", "consist": "consist", "consisted": "consist",
    "consistency": "consist", "consistent": "consist", "consistently": "consist",
    "consisting": "consist", "consists": "consist", "consolation": "consol",
    "consolations": "consol", "consolatory": "consolatori", "console": "consol",
    "consoled": "consol", "consoles": "consol", "consolidate": "consolid",
    "consolidated": "consolid", "consolidating": "consolid", "consoling": "consol",
    "consolingly": "consol", "consols": "consol", "consonant": "conson", "consort": "consort",
    "consorted": "consort", "consorting": "consort", "conspicuous": "conspicu",
    "conspicuously": "conspicu", "conspiracy": "conspiraci", "conspirator": "conspir",
    "conspirators": "conspir", "conspire": "conspir", "conspired": "conspir",
    "conspiring": "conspir", "constable": "constabl", "constables": "constabl",
    "constance": "constanc", "constancy": "constanc", "constant": "constant",
    "knack": "knack", "knackeries": "knackeri", "knacks": "knack", "knag": "knag",
    "knave": "knave", "knaves": "knave", "knavish": "knavish", "kneaded": "knead",
    "kneading": "knead", "knee": "knee", "kneel": "kneel", "kneeled": "kneel",
    "kneeling": "kneel", "kneels": "kneel", "knees": "knee", "knell": "knell",
    "knelt": "knelt", "knew": "knew", "knick": "knick", "knif": "knif", "knife": "knife",
    "knight": "knight", "knightly": "knight", "knights": "knight", "knit": "knit",
    "knits": "knit", "knitted": "knit", "knitting": "knit", "knives": "knive",
    "knob": "knob", "knobs": "knob", "knock": "knock", "knocked": "knock", "knocker": "knocker",
    "knockers": "knocker", "knocking": "knock", "knocks": "knock", "knopp": "knopp",
    "knot": "knot", "knots": "knot",
}  # fmt: skip
CASES = {
    "letters": (
        "It's 3 o'clock:\tcafe\u0301s, 東京 & \u00bd!",
        "Its   oclock \tcafe\u0301s  東京     ",
    ),
    "lower": ("A Straße, ÉTÉ", "a straße, été"),
    "spaces": (" a\tb \n c\u00a0d ", "a b c d"),
    "stop_words": ("The film couldn't be, well, FINE.", "film , , FINE."),
    "stem": ("Running, constables' knives!", "run, constabl' knive!"),
}
WORDS = st.text(st.sampled_from("abc ABC\t\n.,'\u20195éÉ\u0301½東"), max_size=30)


@pytest.fixture
def clean():
    """One text through the steps, for steps that are installed."""

    def call(text, *steps):
        if "stem" in steps:
            pytest.importorskip("snowballstemmer", reason="pip install 'mtl-sharing[text]'")
        ((example,), _) = Cleaning(steps).examples([Example("1", text, None, 0)])
        return example.text

    return call


@pytest.mark.parametrize("step", CASES)
def test_a_step_does_what_it_says(clean, step):
    text, expected = CASES[step]
    assert clean(text, step) == expected


def test_stems_are_those_of_the_published_vocabulary(clean):
    assert clean(" ".join(PORTER_2), "stem").split() == list(PORTER_2.values())


def test_steps_run_in_their_order(clean):
    assert clean("The knights' KNIVES", "stem", "lower", "stop_words") == "knight' knive"
    assert clean("1 The 2", "letters", "spaces") == "The"
    assert clean("1 The 2", "spaces", "letters") == "  The  "


@given(WORDS)
def test_what_is_left_of_any_text(text):
    def cleaned(*steps):
        ((example,), kept) = Cleaning(steps).examples([Example("1", text, None, 0)])
        return None if kept else example.text

    left = cleaned("letters")
    assert left is None or not re.search(r"[.,'\u20195½]", left)
    if left is not None and "'" not in text and "\u2019" not in text:
        assert len(left) == len(text)
    left = cleaned("letters", "stop_words")
    assert left is None or not set(left.lower().split()) & ENGLISH_STOP_WORDS
    for steps in (("lower",), ("spaces",), ("letters", "lower", "spaces", "stop_words")):
        once = cleaned(*steps)
        again, _ = Cleaning(steps).examples([Example("1", once or text, None, 0)])
        assert once is None or again[0].text == once


def test_a_text_of_which_nothing_is_left_stays_as_it_was():
    examples = [Example("1", "The of", "A dog.", 1), Example("2", "Why not?", None, 0),
                Example("3", "of dogs", "them", 0)]  # fmt: skip
    result, kept = Cleaning(("stop_words", "lower")).examples(examples)
    assert [(e.text, e.text_pair) for e in result] == [
        ("The of", "dog."), ("?", None), ("dogs", "them")]  # fmt: skip
    assert kept == 2
    assert [(e.id, e.label) for e in result] == [(e.id, e.label) for e in examples]


def test_no_step_changes_nothing():
    examples = [Example("1", " The  Of1 ", None, 1)]
    assert Cleaning(()).examples(examples) == (examples, 0)


def test_lemmas_are_the_pipelines(tmp_path):
    folder = make_pipeline(tmp_path / "en", lemmas={"mice": "mouse", "ran": "run"})
    examples = [Example("1", "Three mice ran  away.", "The mice", 0)]
    ((result,), kept) = Cleaning(("lemmas",), str(folder)).examples(examples)
    assert (result.text, result.text_pair, kept) == ("Three mouse run  away.", "The mouse", 0)


def test_a_pipeline_without_lemmas_is_refused(tmp_path):
    folder = make_pipeline(tmp_path / "en")
    with pytest.raises(UserError, match=r"suite\.lemmatizer: .* gives no lemmas"):
        Cleaning(("lemmas",), str(folder)).examples([Example("1", "Mice ran", None, 0)])


@pytest.mark.parametrize(
    ("steps", "lemmatizer", "message"),
    [
        (("lowr",), None, r"suite\.clean: found lowr \(nearest: lower\)"),
        (("lower", "lemma"), None, r"suite\.clean: found lemma \(nearest: lemmas\)"),
        (("lemmas",), None, r"suite\.lemmatizer: found null"),
        (("lower",), "en", r"suite\.lemmatizer: found en without lemmas"),
    ],
)
def test_a_mistake_is_told(steps, lemmatizer, message):
    with pytest.raises(UserError, match=message):
        Cleaning(steps, lemmatizer)


@pytest.mark.parametrize(
    ("steps", "package", "extra"),
    [(("stem",), "snowballstemmer", "text"), (("lemmas",), "spacy", "tags")],
)
def test_a_missing_extra_is_named_with_its_command(monkeypatch, steps, package, extra):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else real(name)
    )
    with pytest.raises(UserError, match=rf"pip install 'mtl-sharing\[{extra}\]'"):
        Cleaning(steps, "en" if "lemmas" in steps else None)


def test_clean_text_has_a_key_of_its_own_in_the_token_cache():
    texts = ["The Fox.", "a dog"]
    tokenizer = train_tokenizer(texts, 60)
    examples = [Example(text, text, None, 0) for text in texts]
    keys = [token_key(tokenizer, texts, 8)]
    for steps in (("lower",), ("letters",), ("lower", "letters")):
        clean, _ = Cleaning(steps).examples(examples)
        keys.append(token_key(tokenizer, [e.text for e in clean], 8))
    assert len(set(keys)) == 4
