"""Text of others inside Markdown, where it shows as it is and does nothing."""

import re

from mtl_sharing.utils.terminal import printable

_RUN_OF_BACKTICKS = re.compile("`+")
# Entities where an old renderer knows no backslash; a _ inside a word is no emphasis.
_ENTITIES = {"<": "&lt;", "&": "&amp;"}
_MARKUP = re.compile(
    r"""<(?=[a-z/!?])
    | &(?=[a-z#])                      # an entity
    | [\\`*~$|]
    | (?<![^\W_])_ | _(?![^\W_])
    | (?<=\]) [(\[:]                   # a link
    | (?<=:) //                        # an address, which becomes a link by itself
    | (?<=\bwww) \.
    """,
    re.VERBOSE | re.IGNORECASE,
)


def one_line(text: str) -> str:
    """The text on one line, without control characters."""
    return printable(" ".join(text.splitlines()).replace("\t", " "))


def escaped(text: str) -> str:
    """The text on one line, which Markdown and GitHub's tables show as it is.

    It must not begin a line, where ``#`` and ``-`` would be markup.
    """
    return _MARKUP.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), one_line(text))


def code_span(text: str) -> str:
    """The text as code on one line; not for a table, where ``|`` ends a cell also in code."""
    line = one_line(text)
    fence = "`" * (1 + max(map(len, _RUN_OF_BACKTICKS.findall(line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") or not line.strip() else ""
    return f"{fence}{space}{line}{space}{fence}"
