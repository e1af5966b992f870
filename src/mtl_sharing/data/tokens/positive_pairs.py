"""Positive pairs: pairs of a task whose two texts mean the same, for ranking."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.examples.holdout import connected_groups
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.data.tokens.batches import EncodedTask, encode_examples
from mtl_sharing.data.tokens.tokenizing import Encode, TokenRows, encode
from mtl_sharing.errors import UserError

_POSITIVE = 0.8  # lowest label of a positive pair, as a share of a regression's range


def check_ranked(where: str, spec: TaskSpec) -> None:
    """Raises UserError, naming ``where``, for a task that cannot have positive pairs."""
    allowed = "a binary or regression task of sentence pairs"
    if not spec.is_pair:
        raise UserError(where, f"{spec.name}, a task of single texts", allowed)
    if spec.kind == "classes":
        raise UserError(where, f"{spec.name}, a task of classes", allowed)


def positive_pairs(where: str, spec: TaskSpec, examples: Sequence[Example]) -> list[Example]:
    """The examples whose two texts mean the same; raises UserError, naming ``where``, without any.

    Their label is 1 in a binary task, and in the upper fifth of a regression's range, its lower
    end included (4 and above for 0 to 5).
    """
    check_ranked(where, spec)
    lowest = 1.0
    if spec.low is not None and spec.high is not None:
        lowest = spec.low + _POSITIVE * (spec.high - spec.low)
    positive = [e for e in examples if e.label is not None and e.label >= lowest]
    if not positive:
        found = f"{spec.name}, which has no positive pair in {len(examples)} training examples"
        raise UserError(where, found, f"a task with pairs labelled {lowest:g} or more")
    return positive


def encode_positive_pairs(
    where: str,
    spec: TaskSpec,
    examples: Sequence[Example],
    tokenizer: Tokenizer,
    max_length: int,
    encode: Encode = encode,
) -> EncodedTask:
    """Encodes a task's :func:`positive_pairs`, each text separately, with groups as labels."""
    pairs = positive_pairs(where, spec, examples)
    data = encode_examples(pairs, tokenizer, max_length, False, class_labels=True, encode=encode)
    assert data.second is not None  # every example of a pair task has a second text
    return replace(data, labels=_text_groups(data.first, data.second).astype(float))


def _text_groups(first: TokenRows, second: TokenRows) -> NDArray[np.int64]:
    """The group of each pair, int64, shape (pairs,).

    Pairs that share a text, directly or through other pairs, form a group: none of their texts is
    a negative of another. Texts are equal if their tokens are.
    """
    nodes: dict[bytes, int] = {}
    ends = [
        [nodes.setdefault(tokens.tobytes(), len(nodes)) for tokens in np.split(rows.tokens, cuts)]
        for rows, cuts in ((first, first.offsets[1:-1]), (second, second.offsets[1:-1]))
    ]
    links = np.array(ends, dtype=np.int64).T
    return connected_groups(links)[links[:, 0]]
