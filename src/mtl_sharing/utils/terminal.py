"""Prints results on the standard output, and log lines and progress on the standard error.

A terminal would obey control characters in them.
"""

import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

from rich import get_console
from rich.console import Console

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderResult

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


def show(content: object, console: Console | None = None) -> None:
    """Prints a text, each line as one however long, or a table; both as :func:`printable`."""
    is_text, console = isinstance(content, str), console or results_console()
    escape_unencodable(console.file)
    if not is_text and width_of(console) != console.width:
        console = Console(file=console.file, width=width_of(console), quiet=console.quiet)
    console.print(
        printable(content) if isinstance(content, str) else _Printable(content),
        soft_wrap=is_text, markup=False, highlight=False, emoji=False,
    )  # fmt: skip


# A file or a pipe has no width of its own.
_WIDE = 200


def width_of(console: Console) -> int:
    """The width of what is printed there, in characters."""
    return console.width if console.is_terminal or "COLUMNS" in os.environ else _WIDE


def results_console() -> Console:
    """The standard output; beside a JSON object there, the standard error."""
    return log_console(is_quiet()) if wants_json() else get_console()


@cache
def log_console(closed: bool = False) -> Console:
    """The standard error, where log lines and progress go; one that prints nothing if closed."""
    return Console(stderr=True, quiet=closed)


# Variables of the environment, since the processes that a command starts follow them, too.
_QUIET, _JSON = "MTL_SHARING_QUIET", "MTL_SHARING_JSON"


def is_quiet() -> bool:
    """Whether log lines below a warning and progress are left out."""
    return _QUIET in os.environ


def wants_json() -> bool:
    """Whether a command's result is one JSON object."""
    return _JSON in os.environ


@contextmanager
def output_options(quiet: bool, as_json: bool) -> Iterator[None]:
    """Sets within a block what :func:`is_quiet` and :func:`wants_json` say."""
    options = {_QUIET: quiet, _JSON: as_json}
    before = {name: os.environ.pop(name, None) for name in options}
    os.environ.update({name: "1" for name, is_set in options.items() if is_set})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def show_json(record: Mapping[str, Any]) -> None:
    """Prints a JSON object on a line of its own; NaN, which JSON lacks, is null."""
    # In ASCII, so that nothing in it acts.
    print(json.dumps(_finite(record), allow_nan=False, default=str), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def messages_on_stderr() -> Iterator[None]:
    """Within a block all that :func:`show` prints goes to the standard error.

    Where that is closed, or a quiet command, nothing is printed.
    """
    console = get_console()
    before = console.stderr, console.quiet
    console.stderr, console.quiet = True, sys.stderr is None or is_quiet()
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

    def __rich_console__(self, console: Console, options: "ConsoleOptions") -> "RenderResult":
        for segment in console.render(self.content, options):  # type: ignore[arg-type]
            yield segment._replace(text=printable(segment.text))
