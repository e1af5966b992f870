"""Shows how to quote what Hydra cannot parse in an override: a text, and items of containers."""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

_MARKS = ("'", '"')
_QUOTED = r"""\s*(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*(?=[,%s])"""
# A text without quotes: up to the next comma or the end of its container.
_TEXT = r"(?:\$\{[^{}]*\}|[^,%s])*"
_NAME = re.compile(r"\s*([^:,{}\[\]]*):")


def in_quotes(key: str, value: str) -> str | None:
    """An override as a shell takes it whose value is ``value`` as text; None where none is."""
    overrides = (f"{key}={quoted_text(value, mark)}" for mark in _MARKS)
    return _shortest(text for text in overrides if _reads_as(text, value))


def quoted_text(value: str, mark: str = "'") -> str:
    """A text in quotes, as an override holds it: nothing of it is resolved."""
    text = re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + r"\${", value)  # no interpolation
    # A backslash counts as one only before a quote.
    inner = re.sub(rf"(\\*)({mark}|$)", lambda m: m[1] * 2 + (m[2] and f"\\{m[2]}"), text)
    return f"{mark}{inner}{mark}"


def _reads_as(override: str, value: str) -> bool:
    try:
        parsed = OverridesParser.create().parse_override(override).value()
        text = parsed.text if isinstance(parsed, QuotedString) else parsed
        return bool(OmegaConf.create({"key": text}).key == value)
    except (HydraException, OmegaConfBaseException):
        return False


def _shortest(overrides: Iterable[str]) -> str | None:
    return min((form for text in overrides for form in _in_shell(text)), key=len, default=None)


def _in_shell(word: str) -> Iterator[str]:
    yield shlex.quote(word)
    if "!" not in word:  # an interactive bash expands it between double quotes
        yield '"' + re.sub(r'([\\"$`])', r"\\\1", word) + '"'


@dataclass(frozen=True)
class BadItem:
    """The first item of a list or map that Hydra cannot parse.

    Attributes:
        key: dotted key of the item.
        text: the item, or the name of an entry.
        is_name: whether it is a name, which no quotes make one.
        quoted: the whole override as a shell takes it, with each such item in quotes; None where
            that is no help.
    """

    key: str
    text: str
    is_name: bool
    quoted: str | None


def bad_item(key: str, value: str) -> BadItem | None:
    """The first item that Hydra cannot parse; None for what is no list or map, or not closed."""
    if not value.startswith(("[", "{")):
        return None
    readers = [_Reader(value, mark) for mark in _MARKS]
    texts = [reader.container(0, key.lstrip("+~")) for reader in readers]
    ends, bad = texts[0][1], readers[0].bad
    if ends != len(value.rstrip()) or not bad:
        return None
    overrides = (f"{key}={text}" for text, _ in texts)
    quoted = _shortest(text for text in overrides if _parses(text))
    return BadItem(*bad[0], quoted)


def _parses(override: str) -> bool:
    try:
        return bool(OverridesParser.create().parse_override(override))
    except HydraException:
        return False


class _Reader:
    """Reads containers as a user means them, and notes the items that Hydra cannot parse."""

    def __init__(self, text: str, mark: str) -> None:
        self.text, self.mark = text, mark
        self.bad: list[tuple[str, str, bool]] = []

    def container(self, start: int, key: str) -> tuple[str, int]:
        """The container that starts there with its items in quotes, and where it ends."""
        read, end = (self._item, "]") if self.text[start] == "[" else (self._entry, "}")
        items, place = list[str](), start + 1
        while place < len(self.text):
            item, place = read(place, end, key, len(items))
            items.append(item)
            place += 1
            if self.text[place - 1 : place] != ",":
                break
        closed = self.text[place - 1 : place] == end
        return f"{self.text[start]}{','.join(items)}{end}", place if closed else -1

    def _entry(self, start: int, end: str, key: str, number: int) -> tuple[str, int]:
        match = _NAME.match(self.text, start)
        if match is None:
            return self._item(start, end, key, number)
        name = match[1].strip()
        if not _parses(f"key={{{name}:1}}"):
            self.bad.append((key, name, True))
        item, place = self._value(match.end(), end, f"{key}.{name}")
        return f"{name}: {item}", place

    def _item(self, start: int, end: str, key: str, number: int) -> tuple[str, int]:
        return self._value(start, end, f"{key}[{number}]")

    def _value(self, start: int, end: str, key: str) -> tuple[str, int]:
        inner = len(self.text) - len(self.text[start:].lstrip())
        if self.text.startswith(("[", "{"), inner):
            text, place = self.container(inner, key)
            return text, place if place > 0 else len(self.text)
        pattern = f"{_QUOTED % re.escape(end)}|{_TEXT % re.escape(end)}"
        match = re.compile(pattern).match(self.text, start)
        assert match is not None  # it may be empty
        text = match[0].strip()
        is_between = "," in (self.text[start - 1], self.text[match.end() : match.end() + 1])
        if is_between if not text else not _parses(f"key=[{text}]"):
            self.bad.append((key, text, False))
            text = quoted_text(text, self.mark)
        return text, match.end()
