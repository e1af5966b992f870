"""Splits dev from train where a task has no dev rows: by label, and without a shared text."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.examples.holdout import fill_groups, text_groups
from mtl_sharing.errors import UserError

_BINS = 5  # of a regression's labels, equally filled


def split_dev(
    examples: Mapping[str, Sequence[Example]], share: float, most: int, seed: int
) -> dict[str, NDArray[np.bool_]]:
    """Chooses the dev examples of each task: about ``share`` of each class, whole groups of texts.

    Examples that share a text form a group, also across tasks and through a third one
    (:func:`text_groups`), and a group is complete on one side. Groups are taken in the order of a
    hash of their text and the seed, while no class of a task exceeds round(share * examples), so
    that a small class stays in train. Scores count as five classes of equal size. A task that gets
    no dev examples so gives its smallest group.

    Args:
        most: dev examples of a task at most, about.

    Returns:
        For each task, whether each example is dev; shape (examples,).

    Raises:
        UserError: texts link a task's examples so that none can be dev; ``where`` is the task.
    """
    tasks = sorted(examples)
    group_of = text_groups({task: examples[task] for task in tasks}, seed)
    groups = 1 + max(int(numbers.max()) for numbers in group_of.values())
    counts, targets = [], []
    for task in tasks:
        classes = _classes(examples[task])
        part = min(share, most / len(classes))
        for number in np.unique(classes):
            members = classes == number
            counts.append(np.bincount(group_of[task][members], minlength=groups))
            targets.append(round(part * int(members.sum())))
    is_dev = fill_groups(np.stack(counts, axis=1), targets)
    for task in tasks:
        if not is_dev[group_of[task]].any():
            is_dev[_smallest_group(task, group_of[task])] = True
    return {task: is_dev[group_of[task]] for task in tasks}


def _smallest_group(task: str, group_of: NDArray[np.int64]) -> int:
    groups, sizes = np.unique(group_of, return_counts=True)
    if 2 * sizes.min() > len(group_of):
        found = f"{len(group_of):,} rows, of which nearly all share texts with others"
        raise UserError(task, found, "rows that can be split into train and dev, or a dev file")
    return int(groups[sizes.argmin()])


def _classes(examples: Sequence[Example]) -> NDArray[np.int64]:
    """The class of each example, or the bin of its score."""
    labels = np.array([example.label for example in examples])
    if labels.dtype.kind == "i":
        return labels.astype(np.int64)
    ranks = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
    return (_BINS * ranks // len(labels)).astype(np.int64)
