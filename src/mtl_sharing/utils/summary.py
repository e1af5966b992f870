"""The end of a command in one form: answer, tables, details, where files are, what comes next."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mtl_sharing.utils.terminal import (
    is_quiet,
    log_console,
    results_console,
    show,
    show_json,
    wants_json,
)

Lines = Sequence[tuple[str, str]]
_NARROW = 20


@dataclass(frozen=True)
class Summary:
    """The end of a command, to be printed.

    Attributes:
        answer: the result in a sentence.
        contents: tables and texts that the answer rests on, each a paragraph.
        details: lines with labels.
        files: lines with labels, each of them a path.
        commands: shell commands that may come next.
        record: the result as a JSON object.
    """

    answer: str
    contents: Sequence[object] = ()
    details: Lines = ()
    files: Lines = ()
    commands: Sequence[str] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


def print_summary(summary: Summary, is_part: bool = False) -> None:
    """Prints a summary, and its record where the command was asked for JSON.

    Args:
        is_part: of a command that has a summary of its own, whose record is the only one.
    """
    _show(summary)
    if is_part:
        show("")
    elif wants_json():
        show_json(summary.record)


def _show(summary: Summary) -> None:
    commands = [("" if n else "next", command) for n, command in enumerate(summary.commands)]
    lines = [*summary.details, *summary.files, *commands]
    width = label_width(lines)
    if not is_quiet():
        show("", log_console())  # between log lines and result
    show_folded(summary.answer)
    for content in summary.contents:
        show("")
        if not isinstance(content, str):
            show(content)
            continue
        for line in content.splitlines():
            show_folded(line)
    if lines:
        show("")
    show_lines(summary.details, width)
    # Never folded: a path or a command is to be copied.
    for label, text in lines[len(summary.details) :]:
        show(f"{label:<{width}}{text}")


def label_width(lines: Lines) -> int:
    """The width of the labels' column."""
    return 2 + max((len(label) for label, _ in lines), default=0)


def show_lines(lines: Lines, width: int | None = None) -> None:
    """Prints lines with labels; on a terminal a long one goes on beside its label."""
    width = label_width(lines) if width is None else width
    for label, text in lines:
        show_folded(text, f"{label:<{width}}")


def show_folded(text: str, label: str = "") -> None:
    """Prints a text beside a label: on a terminal folded between words, elsewhere on one line."""
    console = results_console()
    if console.is_terminal and console.width > len(label) + _NARROW:
        indent = " " * len(label)
        text = textwrap.fill(f"{label}{text}", console.width, subsequent_indent=indent,
                             break_long_words=False, break_on_hyphens=False)  # fmt: skip
    else:
        text = f"{label}{text}"
    show(text.rstrip())
