"""Ownership of one stage: a letter and, for G, groups of tasks."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mtl_sharing.errors import UserError, did_you_mean, one_of

MEANINGS = {"F": "frozen", "S": "shared", "I": "individual", "T": "tied", "G": "grouped"}
"""The five letters of the notation and their names."""

Groups = tuple[tuple[str, ...], ...]
"""Groups of task names, each name at most once."""

FIELD = "sharing.plan"
LETTERS = one_of(f"{letter} ({meaning})" for letter, meaning in MEANINGS.items())
GROUPED = "groups of tasks after G and after no other letter, like G6:a+b.c+d"


@dataclass(frozen=True)
class Ownership:
    """Ownership of the weights of one stage, for any list of tasks.

    Args:
        letter: F, S, I, T or G (see ``MEANINGS``).
        groups: for G alone, the groups of tasks that share one copy each; kept sorted.

    Raises:
        UserError: unknown letter, G without groups, or groups with another letter.
    """

    letter: str
    groups: Groups = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(sorted(tuple(sorted(g)) for g in self.groups)))
        if self.letter not in MEANINGS:
            raise UserError(FIELD, f'letter "{self.letter}"', LETTERS)
        if (self.letter == "G") != bool(self.groups):
            raise UserError(FIELD, f'"{self}"', GROUPED)

    @property
    def trains(self) -> bool:
        """Whether the weights are updated (all but F)."""
        return self.letter != "F"

    @property
    def tied(self) -> bool:
        """Whether a penalty pulls the copies together (only T)."""
        return self.letter == "T"

    def owners(self, tasks: Iterable[str]) -> Groups:
        """The groups of tasks that own one copy each, in the order of ``tasks``.

        Raises:
            UserError: a group has a task that is not in ``tasks``, or has a task twice.
        """
        names = tuple(tasks)
        check_members(self.groups, names, FIELD, str(self))
        if self.letter in "FS":
            return (names,)
        group_of = {task: group for group in self.groups for task in group}
        return tuple(
            dict.fromkeys(
                tuple(t for t in names if t in group_of.get(task, (task,))) for task in names
            )
        )

    def canonical(self, tasks: Iterable[str]) -> "Ownership":
        """The canonical form, which all ownerships with the same effect on ``tasks`` share.

        G over all tasks is S, G of single tasks is I, S of one task is I.

        Raises:
            UserError: bad groups, or T with one task, which has nothing to be tied to.
        """
        owners = self.owners(tasks)
        if self.letter == "T" and len(owners) == 1:
            allowed = "two tasks or more for tied stages (T); with one task I"
            raise UserError(FIELD, f"T with one task ({owners[0][0]})", allowed)
        if self.letter in "FT":
            return self
        if all(len(group) == 1 for group in owners):
            return Ownership("I")
        if len(owners) == 1:
            return Ownership("S")
        return Ownership("G", tuple(group for group in owners if len(group) > 1))

    def at_depth(self, depth: int) -> str:
        """The block of ``depth`` layers as text, like ``G6:quora+sts``."""
        return self._text(str(depth))

    def __str__(self) -> str:
        return self._text("")

    def _text(self, depth: str) -> str:
        groups = ".".join("+".join(group) for group in self.groups)
        return f"{self.letter}{depth}" + (f":{groups}" if groups else "")


def check_members(groups: Groups, tasks: tuple[str, ...], where: str, text: str) -> None:
    """Raises UserError for a group member that is no task, or that occurs twice."""
    members = [task for group in groups for task in group]
    for i, task in enumerate(members):
        if task not in tasks:
            allowed = f"the tasks {one_of(tasks)}{did_you_mean(task, tasks)}"
            raise UserError(where, f'task "{task}" in "{text}"', allowed)
        if task in members[:i]:
            allowed = f"each of the tasks {one_of(tasks)} at most once"
            raise UserError(where, f'task "{task}" twice in "{text}"', allowed)


def checked_tasks(tasks: Iterable[str]) -> tuple[str, ...]:
    """The task names as a tuple; raises UserError if empty, repeated or of other characters."""
    # A plain string would be split into its letters.
    names = (tasks,) if isinstance(tasks, str) else tuple(tasks)
    if not names:
        raise UserError("task", "no tasks", "at least one task name")
    for name in names:
        if not re.fullmatch("[a-z0-9_]+", name):
            raise UserError("task", f'"{name}"', "lower-case letters, digits and underscores")
        if names.count(name) > 1:
            raise UserError("task", f'"{name}" twice in {one_of(names)}', "each name only once")
    return names
