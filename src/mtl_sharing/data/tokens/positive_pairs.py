"""Pairs of texts that mean the same, picked from a pair task, for ranking."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.data.tokens.batches import EncodedTask, encode_examples
from mtl_sharing.data.tokens.tokenizing import Encode, TokenRows, encode
from mtl_sharing.errors import UserError

# The lower end of the labels that count as alike, as a share of a regression's range.
_ALIKE = 0.8


def check_ranked(where: str, spec: TaskSpec) -> None:
    """Raises UserError, naming ``where``, for a task that no data could give positive pairs."""
    allowed = "a binary or regression task of sentence pairs"
    if not spec.is_pair:
        raise UserError(where, f"{spec.name}, a task of single texts", allowed)
    if spec.kind == "classes":
        raise UserError(where, f"{spec.name}, a task of classes", allowed)


def positive_pairs(where: str, spec: TaskSpec, examples: Sequence[Example]) -> list[Example]:
    """The examples whose two texts mean the same.

    These have label 1 in a binary task, and in a regression a label in the upper fifth of the
    range, its lower end counted (4 and above for 0 to 5).

    Args:
        where: the config field that names the task, for the error.

    Raises:
        UserError: the task is no pair task, has classes, or has no positive pair.
    """
    check_ranked(where, spec)
    least = _least(spec)
    found = [one for one in examples if one.label is not None and one.label >= least]
    if not found:
        text = f"{spec.name}, which has no positive pair in {len(examples)} training examples"
        raise UserError(where, text, f"a task with pairs labelled {least:g} or more")
    return found


def _least(spec: TaskSpec) -> float:
    """The lowest label of a positive pair."""
    if spec.low is None or spec.high is None:
        return 1.0
    return spec.low + _ALIKE * (spec.high - spec.low)


def encode_positive_pairs(
    where: str,
    spec: TaskSpec,
    examples: Sequence[Example],
    tokenizer: Tokenizer,
    max_length: int,
    encode: Encode = encode,
) -> EncodedTask:
    """The positive pairs of a task, both texts encoded separately, each with its group as label.

    Args:
        where, spec, examples: see :func:`positive_pairs`.
        max_length, encode: see :func:`mtl_sharing.data.tokens.batches.encode_examples`.

    Raises:
        UserError: as :func:`positive_pairs`.
    """
    pairs = positive_pairs(where, spec, examples)
    data = encode_examples(pairs, tokenizer, max_length, joined=False, whole=True, encode=encode)
    assert data.second is not None  # every example of a pair task has a second text
    return replace(data, labels=text_groups(data.first, data.second).astype(float))


def text_groups(first: TokenRows, second: TokenRows) -> NDArray[np.int64]:
    """For each pair the number of its group, int64, shape (pairs,).

    Pairs that have a text in common, directly or through other pairs, are one group: none of
    their texts is a negative of another. Texts are the same where their tokens are.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[bytes, int] = {}
    ends = [
        np.array([numbers.setdefault(text, len(numbers)) for text in _texts(rows)], dtype=np.int64)
        for rows in (first, second)
    ]
    edges = np.ones(len(ends[0]), dtype=np.int8)
    graph = coo_array((edges, (ends[0], ends[1])), shape=(len(numbers), len(numbers)))
    _, group = connected_components(graph, directed=False)
    return np.asarray(group[ends[0]], dtype=np.int64)


def _texts(rows: TokenRows) -> list[bytes]:
    """The tokens of each sequence."""
    spans = zip(rows.offsets[:-1].tolist(), rows.offsets[1:].tolist(), strict=True)
    return [rows.tokens[start:end].tobytes() for start, end in spans]
