"""The page of a report: tables, figures and texts in one self-contained HTML file."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from numbers import Real
from typing import TYPE_CHECKING

from mtl_sharing.report.page.table_files import shown

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 100
"""Further rows are only in the table's file."""
MOST_LETTERS = 700
"""Longer texts are cut on the page, but not in files."""
_WIDE = (
    "text",
    "text_pair",
    "note",
    "why",
    "what",
    "which",
    "flagged",
    "clock",
    "verdict",
    "predictions",
)
_LABELS = ("group", "against", "task")


@dataclass(frozen=True)
class Cell:
    """A table's cell.

    Attributes:
        number: whether it is aligned to the right.
        order: sort key; empty for the text itself.
        shade: strength of the background, 0 to 1.
        same: a repeated label, hidden unless the reader sorts the rows.
    """

    text: str
    number: bool = False
    order: str = ""
    shade: float = 0.0
    strong: bool = False
    same: bool = False


@dataclass(frozen=True)
class TableView:
    """A table on the page.

    Attributes:
        rows: the shown rows, of ``count``.
        file: name of its files beside the page, without ending; empty if there are none.
        wide: columns with long texts, which wrap.
        labels: columns with labels of groups or tasks.
        row_heads: whether the first cell of a row is its heading.
        cards: whether each row becomes a card on a narrow screen.
    """

    caption: str
    columns: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    count: int
    file: str = ""
    wide: frozenset[int] = frozenset()
    labels: frozenset[int] = frozenset()
    row_heads: bool = True
    cards: bool = False
    kind: str = field(default="table", init=False)

    @property
    def cut(self) -> int:
        """Number of rows that the page leaves out."""
        return self.count - len(self.rows)


@dataclass(frozen=True)
class FigureView:
    """A figure in several formats: the page shows ``svg``, all are ``figures/<name>.<kind>``."""

    name: str
    files: Mapping[str, bytes] = field(repr=False)
    alt: str
    caption: str
    kind: str = field(default="figure", init=False)

    @property
    def source(self) -> str:
        """The figure as a data URI."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.files['svg']).decode('ascii')}"


@dataclass(frozen=True)
class Sentences:
    """A list of sentences."""

    lines: tuple[str, ...]
    kind: str = field(default="sentences", init=False)


@dataclass(frozen=True)
class Grid:
    """Small tables side by side."""

    tables: tuple[TableView, ...]
    note: str = ""
    kind: str = field(default="grid", init=False)


Block = TableView | FigureView | Sentences | Grid


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading; ``name`` is its anchor, ``hint`` follows the heading."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    intro: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Page:
    """The content of the page.

    Attributes:
        facts: labels and texts on what was read.
        answer: the sentence that answers, then sentences on it.
        first: the figure and table that belong to the answer.
        sections: all else, folded.
        files: formats of the tables' files.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: Sequence[Section]
    files: Sequence[str] = ()
    answer: Sequence[str] = ()
    first: Sequence[Block] = ()


def render(page: Page) -> str:
    """The page as HTML. It loads nothing, and its policy allows only its own script.

    All texts are escaped, so text from a data set is never interpreted.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    script, style = _template("page.js"), _template("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("page.html").render(
        page=page, style=Markup(style), script=Markup(script), script_digest=digest
    )


def _template(name: str) -> str:
    return (resources.files("mtl_sharing.report.page.template") / name).read_text(encoding="utf-8")


def table_view(frame: "pd.DataFrame", caption: str, file: str, most: int = MOST_ROWS) -> TableView:
    """The first ``most`` rows of a table as the page shows them, which sorts them by value."""
    head = frame.head(most)
    texts = shown(head)
    names = [str(name) for name in texts]
    numbers = _columns(names, [name for name in names if head[name].dtype.kind in "iuf"])
    wide, labels = _columns(names, _WIDE), _columns(names, _LABELS)
    values = head[names].itertuples(index=False, name=None)
    rows: list[tuple[Cell, ...]] = []
    above = ("",) * len(names)
    for line, sources in zip(texts.itertuples(index=False, name=None), values, strict=True):
        rows.append(tuple(
            Cell(cut(text), k in numbers, _order(source),
                 same=k in labels and line[: k + 1] == above[: k + 1])
            for k, (text, source) in enumerate(zip(line, sources, strict=True))
        ))  # fmt: skip
        above = line
    heads = tuple(Cell(name, k in numbers) for k, name in enumerate(names))
    return TableView(caption, heads, tuple(rows), len(frame), file, wide, labels, 0 not in wide)


def _columns(names: Sequence[str], chosen: Sequence[str]) -> frozenset[int]:
    return frozenset(index for index, name in enumerate(names) if name in chosen)


def _order(value: object) -> str:
    return repr(float(value)) if isinstance(value, Real) and value == value else ""


def cut(text: str, most: int = MOST_LETTERS) -> str:
    """A text of at most ``most`` characters, with the number of those left out."""
    lost = len(text) - most
    return text if lost <= 0 else f"{text[:most]} … ({lost:,} more characters)"
