"""Counts examples whose texts others have, within a split and between splits.

An input is the texts of one example as ``examples.normalized_texts`` gives them.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

Input = tuple[str, ...]


@dataclass(frozen=True)
class KnownTexts:
    """The inputs of some examples, and every single text in them."""

    inputs: Set[Input]
    texts: Set[str]

    @classmethod
    def of(cls, inputs: Iterable[Input]) -> "KnownTexts":
        """The inputs and texts of examples."""
        known = set(inputs)
        return cls(known, {text for parts in known for text in parts})

    def count(self, inputs: Sequence[Input]) -> tuple[int, int]:
        """Numbers of inputs that are known, and of those with at least one known text."""
        known = sum(parts in self.inputs for parts in inputs)
        return known, sum(not self.texts.isdisjoint(parts) for parts in inputs)


def count_repeats(inputs: Iterable[Input], labels: Iterable[object]) -> tuple[int, int]:
    """Counts the examples of a split whose input an earlier one has.

    Returns:
        Their number, and how many of them have another label than the first of that input.
    """
    first: dict[Input, object] = {}
    repeated = relabelled = 0
    for parts, label in zip(inputs, labels, strict=True):
        if parts in first:
            repeated += 1
            relabelled += first[parts] != label
        else:
            first[parts] = label
    return repeated, relabelled
