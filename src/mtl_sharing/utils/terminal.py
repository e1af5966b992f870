"""Prints text and tables on a terminal, which would obey control characters in them."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from rich import get_console

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

# All but line feed and tab; then marks that reverse the order of the text, and half surrogates,
# which no output can encode.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with control characters as escapes, such as ``\\x1b``.

    Names and reasons in a run of others may hold sequences that rename the terminal's window,
    overwrite earlier lines or press keys.
    """
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def escape_unencodable(output: object) -> None:
    """Has an output write what its encoding lacks as escapes, such as ``\\u4e2d``, not fail."""
    if isinstance(output, TextIOWrapper) and output.errors == "strict":
        output.reconfigure(errors="backslashreplace")


def show(content: object, console: "Console | None" = None) -> None:
    """Prints a text, each line as one however long, or a table; both as :func:`printable`."""
    is_text, console = isinstance(content, str), console or get_console()
    escape_unencodable(console.file)
    console.print(
        printable(content) if isinstance(content, str) else _Printable(content),
        soft_wrap=is_text, markup=False, highlight=False, emoji=False,
    )  # fmt: skip


@contextmanager
def messages_on_stderr() -> Iterator[None]:
    """Within a block all that :func:`show` prints, and progress, goes to the standard error.

    Where that is closed, nothing is printed.
    """
    console = get_console()
    before = console.stderr, console.quiet
    console.stderr, console.quiet = True, sys.stderr is None
    try:
        yield
    finally:
        console.stderr, console.quiet = before


@dataclass(frozen=True)
class PrintableOutput:
    """Writes to the standard output; on a terminal as :func:`printable`."""

    file: TextIO

    def write(self, text: str) -> int:
        """Writes a text."""
        return self.file.write(printable(text) if self.file.isatty() else text)


@dataclass(frozen=True)
class _Printable:
    """Something that rich renders, with its control characters as escapes."""

    content: object

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        for segment in console.render(self.content, options):  # type: ignore[arg-type]
            yield segment._replace(text=printable(segment.text))
