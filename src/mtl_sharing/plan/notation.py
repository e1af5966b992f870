"""Parser of a plan's notation."""

import re
from dataclasses import dataclass

from mtl_sharing.errors import UserError
from mtl_sharing.plan.ownership import GROUPED, LETTERS, MEANINGS, Ownership, check_members

_ORDER = "an E part only first, then the blocks, then a P part only last, like EF-S6-I6-PI"
# A typing error like S99999999 would fill the memory where the number of layers is unknown.
_MOST_DIGITS = 4


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
            raise self._error(part, f"one letter out of {LETTERS}{extra}")
        if (letter == "G") != bool(groups) or bool(colon) != bool(groups):
            raise self._error(part, GROUPED)
        named = tuple(tuple(group.split("+")) for group in groups.split(".")) if groups else ()
        check_members(named, self.tasks, self.where, self.text)
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


def head_rule(head_layers: int) -> str:
    """The ``allowed`` part of an error for a bad head stack."""
    count = f"as many letters as head.depth has layers ({head_layers})"
    return f"no head stack, or one of {count}"
