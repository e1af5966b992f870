"""Every sub-token has the tags of its word, held against spaCy's own."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from mtl_sharing.data.settings import TagsConfig
from mtl_sharing.data.text.tagging import UNIVERSAL, tag_scheme, tag_words
from mtl_sharing.data.tokens.tag_cache import align
from mtl_sharing.data.tokens.tokenizing import encode, train_tokenizer
from mtl_sharing.errors import UserError
from spacy_pipelines import make_pipeline

TEXTS = [
    "The brown fox isn't  in Paris.",
    " fantastically\tthe\nSnowflake is",
    "th\u00e9 caf\u00e9 in PARIS, the (fox)!",
    "e\u0301 \U0001f98a \u6771\u4eac the fox\u00a0brown",
    ".",
    "zebra",
]
PAIRS = list(zip(TEXTS[:3], TEXTS[3:], strict=True))
PIECES = st.sampled_from(["the", " ", "fox", "brown", ".", "n't", "is", "  ", "\u00e9", "e\u0301",
                          "\U0001f98a", "Paris", "\n", "-", "fantastically", "\u6771"])  # fmt: skip
NOUN, ADV, DET = (UNIVERSAL.index(name) + 1 for name in ("NOUN", "ADV", "DET"))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return str(make_pipeline(tmp_path_factory.mktemp("spacy") / "en"))


@pytest.fixture(scope="module")
def scheme(pipeline):
    scheme = tag_scheme(TagsConfig(pipeline))
    assert scheme is not None
    return scheme


@pytest.fixture(scope="module")
def nlp(pipeline):
    return pytest.importorskip("spacy").load(pipeline)


def byte_pairs(trim):
    """RoBERTa's kind of tokenizer, whose tokens may start with the space before a word."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 1), ("<s>", 0), trim_offsets=trim, add_prefix_space=False
    )
    return tokenizer


TOKENIZERS = {
    "word pieces": lambda: train_tokenizer(TEXTS * 3, 75),
    "byte pairs": lambda: byte_pairs(True),
    "byte pairs with spaces": lambda: byte_pairs(False),
}


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]()


def by_hand(tokenizer, nlp, scheme, texts, limit):
    """For each token the first spaCy word that shares a character with it, searched one by one."""
    tokenizer.enable_truncation(limit, strategy="longest_first")
    tags = []
    for text in texts:
        parts = (text,) if isinstance(text, str) else text
        docs, encoding = [nlp(part) for part in parts], tokenizer.encode(*parts)
        spans = zip(encoding.sequence_ids, encoding.offsets, strict=True)
        tags += [tags_by_hand(scheme, docs, *span) for span in spans]
    return tags


def tags_by_hand(scheme, docs, part, span):
    words = [] if part is None else [
        word for word in docs[part]
        if not word.is_space and set(range(word.idx, word.idx + len(word))) & set(range(*span))
    ]  # fmt: skip
    if not words:
        return [0, 0]
    pos, kind = words[0].pos_, words[0].ent_type_
    return [
        scheme.pos.index(pos) + 1 if pos else 0, scheme.entities.index(kind) + 1 if kind else 0,
    ]  # fmt: skip


def aligned(tokenizer, nlp, scheme, texts, limit=64):
    parts = [texts] if isinstance(texts[0], str) else list(zip(*texts, strict=True))
    words = [tag_words(nlp, scheme, part) for part in parts]
    return align(tokenizer, texts, limit, words).tolist()


@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_tags_are_those_of_the_words(tokenizer, nlp, scheme, texts):
    tags = aligned(tokenizer, nlp, scheme, texts)
    assert tags == by_hand(tokenizer, nlp, scheme, texts, 64)
    assert {pos for pos, _ in tags} >= {0, NOUN, ADV, DET}
    assert {kind for _, kind in tags} == {0, 1, 2, 3}


ANY_TEXT = st.lists(PIECES, min_size=1, max_size=9).map("".join)
LONG = "thethethethethethethefantasticallyfantastically"


@given(st.lists(ANY_TEXT, min_size=2, max_size=4), st.sampled_from([5, 64, 512]))
@example(["the", LONG], 64)  # the pair of it and itself has 65 tokens
@example(["the", LONG], 512)
def test_tags_of_any_text_are_those_of_the_words(tokenizer, nlp, scheme, texts, limit):
    """At any limit of length: the tokens that truncation leaves keep their tags."""
    for inputs in (texts, [(texts[0], texts[1]), (texts[1], texts[-1])]):
        tags = aligned(tokenizer, nlp, scheme, inputs, limit)
        assert tags == by_hand(tokenizer, nlp, scheme, inputs, limit)


def test_a_word_of_several_sub_tokens_has_its_tag_on_each(nlp, scheme):
    tokenizer = TOKENIZERS["word pieces"]()
    pieces = tokenizer.encode("fantastically brown fox", add_special_tokens=False).tokens
    count = [n for n, piece in enumerate(pieces) if not piece.startswith("##")]
    assert len(count) == 3 and count[1] > 2  # fantastically has 3 pieces or more
    tags = aligned(tokenizer, nlp, scheme, ["fantastically brown fox"])
    animal = scheme.entities.index("ANIMAL") + 1
    assert tags[0] == tags[-1] == [0, 0]  # [CLS] and [SEP]
    assert tags[1 : 1 + count[1]] == [[ADV, 0]] * count[1]
    assert tags[1 + count[2] : -1] == [[NOUN, animal]] * (len(pieces) - count[2])


def test_there_is_a_tag_for_every_token_that_truncation_leaves(tokenizer, nlp, scheme):
    for texts in (TEXTS, PAIRS):
        for limit in (5, 8, 64):
            rows = encode(tokenizer, texts, limit)
            assert len(aligned(tokenizer, nlp, scheme, texts, limit)) == len(rows.tokens)
    full = aligned(tokenizer, nlp, scheme, TEXTS[:1], 64)
    short = aligned(tokenizer, nlp, scheme, TEXTS[:1], 6)
    assert short == [*full[:5], [0, 0]]


def test_joined_pairs_have_the_tags_of_their_texts(nlp, scheme):
    tokenizer = TOKENIZERS["word pieces"]()
    for pair in PAIRS:
        first, second = (aligned(tokenizer, nlp, scheme, [text])[1:-1] for text in pair)
        none = [[0, 0]]
        expected = none + first + none + second + none
        assert aligned(tokenizer, nlp, scheme, [pair]) == expected


def test_no_texts_have_no_tags(nlp, scheme):
    assert align(TOKENIZERS["word pieces"](), [], 8, [tag_words(nlp, scheme, [])]).shape == (0, 2)


def test_the_numbers_are_those_of_the_universal_tags(scheme):
    assert len(UNIVERSAL) == 17 and scheme.rows == (18, 4)
    symbols = pytest.importorskip("spacy.parts_of_speech").IDS
    # spaCy's own list has besides: no tag, its old CONJ, white space and the end of a line.
    assert {*symbols} - {*UNIVERSAL} == {"", "CONJ", "SPACE", "EOL"} & {*symbols}
    assert {*UNIVERSAL} <= {*symbols}


@pytest.mark.parametrize(("pos", "ner", "rows"), [(True, False, (18, 0)), (False, True, (0, 4))])
def test_one_kind_alone(pipeline, nlp, pos, ner, rows):
    scheme = tag_scheme(TagsConfig(pipeline, pos, ner))
    assert scheme.rows == rows
    tags = tag_words(nlp, scheme, TEXTS).tags
    assert tags.any(axis=0).tolist() == [pos, ner]


def test_no_pipeline_is_no_scheme():
    assert tag_scheme(TagsConfig()) is None


def test_what_cannot_be_used_is_refused(pipeline, tmp_path):
    (tmp_path / "empty").mkdir()
    without = str(make_pipeline(tmp_path / "en", entities={}))
    for config, message in (
        (TagsConfig(pos=False), r"suite\.tags: found pos=False, ner=True without"),
        (TagsConfig(pipeline, False, False), r"suite\.tags: found neither"),
        (TagsConfig("en_nowhere_to_be_found"), r"suite\.tags\.pipeline: .*spacy download"),
        (TagsConfig("blank:en"), r"suite\.tags\.pipeline: .*spacy download"),
        # Installed, and no pipeline: it is not even imported.
        (TagsConfig("pip"), r"suite\.tags\.pipeline: .*which is neither"),
        (TagsConfig(str(tmp_path / "empty")), r"suite\.tags\.pipeline: .*meta\.json"),
        (TagsConfig(without), r"suite\.tags\.ner: .* no named entities"),
    ):
        with pytest.raises(UserError, match=message):
            tag_scheme(config)
    assert tag_scheme(TagsConfig(without, ner=False)).rows == (18, 0)


def test_an_entity_type_that_no_component_names_is_refused(nlp, scheme):
    spacy = pytest.importorskip("spacy")
    other = spacy.blank("en")
    ruler = other.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PLANET", "pattern": "Mars"}])
    with pytest.raises(UserError, match="PLANET"):
        tag_words(other, scheme, ["From Mars."])
    assert len(tag_words(other, scheme, ["From Venus."]).tags) == 3
