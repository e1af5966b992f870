"""Holds examples out of train for model selection; they are never trained on or reported."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.data.examples.examples import (
    Example,
    LoadedExamples,
    SourceCount,
    normalized_texts,
)
from mtl_sharing.errors import UserError

KEY = "suite.select_fraction"


def hold_out(
    examples: Mapping[str, Sequence[Example]], fraction: float
) -> dict[str, NDArray[np.bool_]]:
    """Chooses the held-out examples of each task by their texts alone, whatever their order.

    Examples that share a text (in lower case, white space collapsed; also across tasks, and also
    through a third one) form a group. Complete groups are held out, ordered by the hash of a text,
    while no task exceeds its round(fraction * examples), at least 1; a group that would exceed it
    is skipped. Each task so reaches its number exactly, unless every remaining group is larger
    than what is missing. A task without any held-out example gives one of its smallest groups.

    Returns:
        For each task, whether each example is held out; shape (examples,).

    Raises:
        UserError: a task would have nothing left to train on.
    """
    tasks = sorted(examples)
    targets = [_target(task, len(examples[task]), fraction) for task in tasks]
    group_of = text_groups({task: examples[task] for task in tasks})
    groups = 1 + max(int(numbers.max()) for numbers in group_of.values())
    counts = np.stack([np.bincount(group_of[t], minlength=groups) for t in tasks], axis=1)
    held = fill_groups(counts, targets)
    for column, task in enumerate(tasks):
        if not counts[held, column].any():
            held[_smallest(task, column, counts, held)] = True
    return {task: held[group_of[task]] for task in tasks}


def split_held(loaded: LoadedExamples, held: NDArray[np.bool_]) -> dict[str, LoadedExamples]:
    """Splits the loaded rows into ``train`` and ``select``; bad rows count with ``train``."""
    kept, chosen, start = {}, {}, 0  # examples are ordered by source
    for name, source in loaded.sources.items():
        count = int(held[start : start + source.examples].sum())
        kept[name] = replace(source, examples=source.examples - count)
        chosen[name] = SourceCount(count, 0)
        start += source.examples
    train = replace(loaded, examples=list(compress(loaded.examples, ~held)), sources=kept)
    selected = list(compress(loaded.examples, held))
    return {"train": train, "select": LoadedExamples(selected, sources=chosen)}


def connected_groups(links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the connected component of each node; ``links`` has shape (links, 2)."""
    # Imported here: scipy loads slowly, and most runs need no groups.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes = int(links.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _target(task: str, size: int, fraction: float) -> int:
    target = max(1, round(fraction * size))
    if target >= size:
        highest = (size - 1) * 1000 // max(1, size) / 1000
        found = f"{fraction:g}, which is {target} of {size} train examples of {task}"
        raise UserError(KEY, found, f"0 to {highest:g}, so that one example or more trains")
    return target


def text_groups(
    examples: Mapping[str, Sequence[Example]], seed: int | None = None
) -> dict[str, NDArray[np.int64]]:
    """The group of each example, for each task; groups are numbered in the order of a hash.

    A group's hash is that of its alphabetically first text. The smallest hash of all its texts
    would favour groups with many texts. A seed is hashed with it.
    """
    nodes: dict[str, int] = {}
    links = {
        task: np.array([_link(example, nodes) for example in rows])
        for task, rows in examples.items()
    }
    component = connected_groups(np.concatenate(list(links.values())))
    first: dict[int, str] = {}
    for text, number in zip(nodes, component.tolist(), strict=True):
        first[number] = min(first.get(number, text), text)
    salt = "" if seed is None else f"{seed}\n"  # no text holds a line feed
    hashes = [
        sha256(f"{salt}{first[n]}".encode("utf-8", "surrogatepass")).digest()
        for n in range(len(first))
    ]
    rank = np.argsort(sorted(range(len(first)), key=hashes.__getitem__))
    return {task: rank[component[ends[:, 0]]] for task, ends in links.items()}


def _link(example: Example, nodes: dict[str, int]) -> tuple[int, int]:
    """Nodes of an example's two texts, added where they are new; a single text links to itself."""
    texts = normalized_texts(example)
    return nodes.setdefault(texts[0], len(nodes)), nodes.setdefault(texts[-1], len(nodes))


def fill_groups(counts: NDArray[np.int64], targets: Sequence[int]) -> NDArray[np.bool_]:
    """Takes each group in order that exceeds no target.

    Args:
        counts: examples of each group in each task or class, shape (groups, tasks).
        targets: the most examples to take of each task or class.

    Returns:
        Whether each group is taken, shape (groups,).
    """
    held, left = np.zeros(len(counts), dtype=np.bool_), list(targets)
    for number, row in enumerate(counts.tolist()):
        rest = [room - count for room, count in zip(left, row, strict=True)]
        if min(rest) >= 0:
            held[number], left = True, rest
    return held


def _smallest(task: str, column: int, counts: NDArray[np.int64], held: NDArray[np.bool_]) -> int:
    """The first of a task's smallest groups that leave training examples to every task."""
    free = counts[~held].sum(axis=0)
    fits = (counts[:, column] > 0) & ((counts < free) | (counts == 0)).all(axis=1)
    if not fits.any():
        size = counts[:, column].sum()
        found = f"{task}, where shared texts link all {size} train examples"
        raise UserError(KEY, found, "0, or train examples of which some share no text with others")
    return int(np.where(fits, counts[:, column], np.iinfo(int).max).argmin())
