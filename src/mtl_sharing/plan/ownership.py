"""Ownership of one stage, a letter and for G groups of tasks, and the parser of its notation."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mtl_sharing.errors import UserError, did_you_mean, one_of

MEANINGS = {"F": "frozen", "S": "shared", "I": "individual", "T": "tied", "G": "grouped"}
"""The five letters of the notation and their names."""

Groups = tuple[tuple[str, ...], ...]
"""Groups of task names, each name at most once."""

FIELD = "sharing.plan"
_LETTERS = one_of(f"{letter} ({meaning})" for letter, meaning in MEANINGS.items())
_ORDER = "an E part only first, then the blocks, then a P part only last, like EF-S6-I6-PI"
# A typing error like S99999999 would fill the memory where the number of layers is unknown.
_MOST_DIGITS = 4
_GROUPED = "groups of tasks after G and after no other letter, like G6:a+b.c+d"


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
            raise UserError(FIELD, f'letter "{self.letter}"', _LETTERS)
        if (self.letter == "G") != bool(self.groups):
            raise UserError(FIELD, f'"{self}"', _GROUPED)

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
        _check_members(self.groups, names, FIELD, str(self))
        if self.letter in "FS":
            return (names,)
        group_of = {task: group for group in self.groups for task in group}
        owners = (tuple(t for t in names if t in group_of.get(task, (task,))) for task in names)
        return tuple(dict.fromkeys(owners))

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

    def __str__(self) -> str:
        return self.text()

    def text(self, depth: int | str = "") -> str:
        """The notation, like ``G:a+b``, or that of a block with a depth, like ``G6:a+b``."""
        groups = ".".join("+".join(group) for group in self.groups)
        return f"{self.letter}{depth}" + (f":{groups}" if groups else "")


@dataclass(frozen=True)
class Reader:
    """Parses the parts of one text; every error shows the bad part and the whole text."""

    text: str
    tasks: tuple[str, ...]
    where: str

    def parts(self) -> tuple[str | None, list[str], str | None, list[str]]:
        """Splits the text into the E part, the blocks, the P part and the head stack."""
        if not self.text:
            raise self._error("", "a plan like S6-I6")
        if self.text.count("/") > 1:
            raise self._error(self.text, 'at most one "/", before the head stack')
        body, slash, stack = self.text.partition("/")
        blocks = body.split("-")
        first = blocks.pop(0) if blocks[0].startswith("E") else None
        last = blocks.pop() if blocks and blocks[-1].startswith("P") else None
        return first, blocks, last, stack.split("-") if slash else []

    def block(self, part: str) -> tuple[Ownership, int]:
        """Parses the ownership and the depth of one block."""
        if part.startswith(("E", "P")):
            raise self._error(part, _ORDER)
        name, colon, groups = part.partition(":")
        own = self.own(part, name[:1] + colon + groups)
        if not re.fullmatch("[0-9]+", name[1:]):
            raise self._error(part, "a depth of 0, 1, 2, ... after the letter, like S6")
        digits = name[1:].lstrip("0") or "0"
        if len(digits) > _MOST_DIGITS:
            raise self._error(part, f"a depth of at most {_MOST_DIGITS} digits")
        return own, int(digits)

    def own(self, part: str, text: str) -> Ownership:
        """Parses the ownership in ``text``, a letter with its groups; errors show ``part``."""
        letter, colon, groups = text.partition(":")
        if letter not in MEANINGS:
            extra = ", without a depth" if letter[:1] in MEANINGS else ""
            raise self._error(part, f"one letter out of {_LETTERS}{extra}")
        if (letter == "G") != bool(groups) or bool(colon) != bool(groups):
            raise self._error(part, _GROUPED)
        named = tuple(tuple(group.split("+")) for group in groups.split(".")) if groups else ()
        _check_members(named, self.tasks, self.where, self.text)
        return Ownership(letter, named)

    def check_depth(self, depth: int, layers: int | None) -> None:
        """Raises UserError for a depth of 0, or other than ``layers``."""
        if layers is not None and depth != layers:
            found = f'"{self.text}" ({depth} layers)'
            raise UserError(self.where, found, f"depths that add up to {layers} layers")
        if depth == 0:
            raise UserError(self.where, f'"{self.text}" (0 layers)', "at least one encoder layer")

    def check_head(self, depth: int, head_layers: int | None) -> None:
        """Raises UserError for a head stack of another length than ``head_layers``."""
        if head_layers is not None and depth not in (0, head_layers):
            found = f'"{self.text}" ({depth} head layers)'
            raise UserError(self.where, found, head_rule(head_layers))

    def _error(self, part: str, allowed: str) -> UserError:
        shown = f'"{part}"' if part else "an empty part"
        found = shown if part == self.text else f'{shown} in "{self.text}"'
        return UserError(self.where, found if self.text else 'an empty text ""', allowed)


def connected(tasks: Iterable[str], groups: Iterable[Iterable[str]]) -> Groups:
    """The smallest groups of tasks that no one of ``groups`` crosses, in the order of ``tasks``."""
    names = tuple(tasks)
    component = {task: {task} for task in names}
    for group in groups:
        joined = set[str]().union(*(component[task] for task in group))
        component |= dict.fromkeys(joined, joined)
    members = (tuple(t for t in names if t in component[task]) for task in names)
    return tuple(dict.fromkeys(members))


def head_rule(head_layers: int) -> str:
    """The ``allowed`` part of an error for a bad head stack."""
    count = f"as many letters as head.depth has layers ({head_layers})"
    return f"no head stack, or one of {count}"


def _check_members(groups: Groups, tasks: tuple[str, ...], where: str, text: str) -> None:
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
