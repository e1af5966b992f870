"""Examples held out of train to choose by: never trained on, and never what is reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.data.examples.examples import Example, LoadedExamples, SourceCount, plain_texts
from mtl_sharing.errors import UserError

KEY = "suite.select_fraction"
Held = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class _Groups:
    """Examples that a text links, directly or through others: they stay on one side together.

    Attributes:
        of: for each task the group of each example; shape (examples,).
        counts: examples of each task in each group; shape (groups, tasks).
        order: the groups by the hash of their first text; shape (groups,).
    """

    of: Mapping[str, NDArray[np.int64]]
    counts: NDArray[np.int64]
    order: NDArray[np.int64]


def hold_out(examples: Mapping[str, Sequence[Example]], fraction: float) -> Held:
    """Which examples of each task are held out: a function of the texts alone.

    Examples that share a text (in lower case, white space collapsed; also of another task, and
    also through a third one) form a group. Groups are taken whole, by the hash of a text, as long
    as no task gets more than its round(fraction * examples), at least 1; a group that would be too
    many is passed over. So every task gets exactly as many, unless all groups that are left have
    more examples than it lacks. A task that would get none takes one of its smallest groups.

    Args:
        examples: of each task; their order changes nothing.
        fraction: above 0 and below 1.

    Returns:
        For each task whether each example is held out; shape (examples,).

    Raises:
        UserError: a task would have nothing left to train on.
    """
    tasks = sorted(examples)
    room = np.array([_wanted(task, len(examples[task]), fraction) for task in tasks])
    groups = _linked({task: examples[task] for task in tasks})
    taken = _take(groups, room)
    for number, task in enumerate(tasks):
        if not (groups.counts[taken, number] > 0).any():
            taken[_smallest(task, number, groups, taken)] = True
    return {task: taken[groups.of[task]] for task in tasks}


def split_held(loaded: LoadedExamples, held: NDArray[np.bool_]) -> dict[str, LoadedExamples]:
    """The loaded rows as ``train`` and ``select``; bad rows are counted with ``train``."""
    counts, start = {}, 0  # the rows of one source follow those of another
    for name, source in loaded.sources.items():
        counts[name] = int(held[start : start + source.examples].sum())
        start += source.examples
    kept = {
        name: replace(source, examples=source.examples - counts[name])
        for name, source in loaded.sources.items()
    }
    train = replace(loaded, examples=list(compress(loaded.examples, ~held)), sources=kept)
    sources = {name: SourceCount(count, 0) for name, count in counts.items()}
    chosen = list(compress(loaded.examples, held))
    return {"train": train, "select": LoadedExamples(chosen, sources=sources)}


def _wanted(task: str, size: int, fraction: float) -> int:
    wanted = max(1, round(fraction * size))
    if wanted >= size:
        most = (size - 1) * 1000 // max(1, size) / 1000
        found = f"{fraction:g}, which is {wanted} of {size} train examples of {task}"
        raise UserError(KEY, found, f"0 to {most:g}, so that one example or more trains")
    return wanted


def _linked(examples: Mapping[str, Sequence[Example]]) -> _Groups:
    # Late, since it loads slowly and most runs hold nothing out.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[str, int] = {}
    ends = {
        task: np.array([_ends(example, numbers) for example in rows])
        for task, rows in examples.items()
    }
    links = np.concatenate(list(ends.values()))
    size = len(numbers)
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(size, size))
    count, group = connected_components(graph, directed=False)
    of = {task: np.asarray(group[pairs[:, 0]], dtype=np.int64) for task, pairs in ends.items()}
    counts = [np.bincount(each, minlength=count) for each in of.values()]
    return _Groups(of, np.stack(counts, axis=1), _order(numbers, group.tolist(), count))


def _ends(example: Example, numbers: dict[str, int]) -> tuple[int, int]:
    """The numbers of an example's texts, new ones where they are new; of a single text twice."""
    first, *_, last = (numbers.setdefault(t, len(numbers)) for t in plain_texts(example) * 2)
    return first, last


def _order(numbers: Mapping[str, int], group: Sequence[int], count: int) -> NDArray[np.int64]:
    """The groups by the hash of the first of their texts in the alphabet.

    Not by the smallest hash of their texts: groups with many would come first.
    """
    names: dict[int, str] = {}
    for text, number in numbers.items():
        known = names.setdefault(group[number], text)
        names[group[number]] = min(known, text)
    hashes = [sha256(names[n].encode("utf-8", "surrogatepass")).digest() for n in range(count)]
    return np.array(sorted(range(count), key=hashes.__getitem__), dtype=np.int64)


def _take(groups: _Groups, room: NDArray[np.int64]) -> NDArray[np.bool_]:
    taken = np.zeros(len(groups.order), dtype=np.bool_)
    left = room.tolist()
    for number, counts in zip(groups.order, groups.counts[groups.order].tolist(), strict=True):
        if all(count <= free for count, free in zip(counts, left, strict=True)):
            taken[number] = True
            left = [free - count for count, free in zip(counts, left, strict=True)]
    return taken


def _smallest(task: str, number: int, groups: _Groups, taken: NDArray[np.bool_]) -> int:
    """The first of a task's smallest groups without which every task has something to train on."""
    ordered, free = groups.counts[groups.order], groups.counts[~taken].sum(axis=0)
    fits = (ordered[:, number] > 0) & ((ordered < free) | (ordered == 0)).all(axis=1)
    if not fits.any():
        found = f"{task}, where shared texts link all {len(groups.of[task])} train examples"
        raise UserError(KEY, found, "0, or train examples of which some share no text with others")
    return int(groups.order[np.where(fits, ordered[:, number], np.iinfo(int).max).argmin()])
