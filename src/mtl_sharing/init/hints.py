"""Names that columns of texts and labels often have; the columns' values count for more."""

import re

# Where a table has several of them, the first one is taken.
TEXTS = (
    "text", "sentence", "body", "review", "content", "message", "comment", "utterance", "tweet",
    "question", "query", "document", "description", "abstract", "title",
)  # fmt: skip
LABELS = (
    "label_text", "label_name", "gold_label", "label", "labels", "gold", "target", "class",
    "classes", "is_duplicate", "category", "topic", "sentiment", "intent", "emotion", "polarity",
    "stance", "verdict", "similarity", "similarity_score", "relatedness", "relatedness_score",
    "score", "rating", "stars", "grade", "tag", "annotation", "y",
)  # fmt: skip
NEGATIVE = ("no", "false", "negative", "neg", "bad", "ham", "not", "non", "none", "n", "f", "off")
"""First words of the name of a negative class, which is class 0 of a binary task."""
_ID = re.compile(r"(.+_)?([a-z]?id\d?|idx|index|uuid|guid|key)")
_NO_LABELS = ("split", "fold", "subset", "language", "lang")
SCORES = ("score", "similarity", "relatedness", "grade")
"""Parts of names by which whole numbers are scores rather than classes."""
_PAIRS = (
    ("premise", "hypothesis"), ("text", "text_pair"), ("query", "passage"), ("query", "document"),
    ("question", "answer"), ("question", "sentence"), ("question", "context"),
    ("context", "response"), ("anchor", "positive"), ("source", "target"),
)  # fmt: skip
_FIRST_AND_SECOND = {"1": "2", "0": "1", "a": "b", "one": "two", "first": "second", "left": "right"}
# The words for first and second: as the end of a name, or as its beginning.
_END = re.compile(r"(.*?)_?(1|0|(?<=_)a|(?<=_)one|(?<=_)first|(?<=_)left)$")
_START = re.compile(r"(first|left)_?(.*)$")
_NUMBERED = ("", "c", "col", "column", "f", "feature", "field", "v", "var", "x")


def plain(name: str) -> str:
    """A column's name in lower case, its words joined by underscores."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\W_]+", "_", words.lower()).strip("_")


def rank(name: str, hints: tuple[str, ...]) -> int:
    """The place of a name among hints; their number for another name."""
    return hints.index(plain(name)) if plain(name) in hints else len(hints)


def is_id(name: str) -> bool:
    """Whether a column has the name of row numbers or keys."""
    return _ID.fullmatch(plain(name)) is not None


def is_known(name: str) -> bool:
    """Whether columns of texts, labels or keys often have this name."""
    return plain(name) in (*TEXTS, *LABELS) or is_id(name)


def is_no_label(name: str) -> bool:
    """Whether a column has the name of something else than labels."""
    return is_id(name) or plain(name) in _NO_LABELS


def is_pair(first: str, second: str) -> bool:
    """Whether two columns have the names of the first and second text of pairs."""
    first, second = plain(first), plain(second)
    if (first, second) in _PAIRS:
        return True
    if (match := _END.match(first)) is not None:
        stem, word = match.groups()
        other = _FIRST_AND_SECOND[word]
        return stem not in _NUMBERED and second in (f"{stem}{other}", f"{stem}_{other}")
    if (match := _START.match(first)) is not None:
        word, rest = match.groups()
        return second in (f"{_FIRST_AND_SECOND[word]}{rest}", f"{_FIRST_AND_SECOND[word]}_{rest}")
    return False
