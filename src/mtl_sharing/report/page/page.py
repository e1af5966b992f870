"""The page of a report: sections of tables, figures and texts as one HTML file on its own."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from numbers import Real
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# More rows than these are in the table's file alone.
MOST_ROWS = 100
# Longer texts are cut on the page; files have them whole.
MOST_LETTERS = 700


@dataclass(frozen=True)
class Cell:
    """A table's cell.

    Attributes:
        number: aligned to the right.
        order: what sorts it; empty for its text.
        shade: 0 to 1, how strong the cell's background is.
        strong: a row's or table's outstanding value.
        same: the cell above says the same, so it is hidden as long as the rows are in this order.
    """

    text: str
    number: bool = False
    order: str = ""
    shade: float = 0.0
    strong: bool = False
    same: bool = False


@dataclass(frozen=True)
class TableView:
    """A table as the page shows it.

    Attributes:
        rows: those that are shown, of ``count``.
        file: its file beside the page, without the ending; empty where there is none.
        wide: columns whose texts are long and wrap.
        labels: columns with labels of groups.
        row_heads: the first cell of a row names it.
    """

    caption: str
    columns: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    count: int
    file: str = ""
    wide: frozenset[int] = frozenset()
    labels: frozenset[int] = frozenset()
    row_heads: bool = True
    kind: str = field(default="table", init=False)

    @property
    def cut(self) -> int:
        """Rows that are left out on the page."""
        return self.count - len(self.rows)


@dataclass(frozen=True)
class FigureView:
    """A figure as the page shows it.

    Attributes:
        name: its files beside the page are ``figures/<name>.<kind>``.
        files: its content by kind; ``svg`` is what the page shows.
        alt: what it shows, for those who do not see it.
        caption: how many runs, and what marks and bars mean.
    """

    name: str
    files: Mapping[str, bytes] = field(repr=False)
    alt: str
    caption: str
    kind: str = field(default="figure", init=False)

    @property
    def source(self) -> str:
        """The picture as a data URI."""
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
    """A part of the page with a heading.

    Attributes:
        name: its anchor.
        intro: a sentence or two on how to read it.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]
    intro: str = ""


@dataclass(frozen=True)
class Page:
    """Everything that the page shows.

    Attributes:
        facts: label and text of what was read and when.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    files: tuple[str, ...] = ()


def render(page: Page) -> str:
    """The page as HTML: it loads nothing, and its policy forbids all scripts but its own few lines.

    All texts are escaped: what stands in a data set is shown, never interpreted.
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


def table_view(
    texts: "pd.DataFrame",
    caption: str,
    file: str,
    numbers: Sequence[str],
    wide: Sequence[str],
    labels: Sequence[str],
    values: "pd.DataFrame",
    count: int,
) -> TableView:
    """A table of texts as the page shows it.

    Args:
        texts: a text for each cell.
        numbers: columns that are aligned to the right.
        wide: columns whose texts wrap.
        labels: columns of labels, said once where rows below each other have the same.
        values: what the texts were made from, which sorts the rows.
        count: rows of the whole table.
    """
    names = [str(name) for name in texts.columns]
    right, wrapped, named = (_places(names, some) for some in (numbers, wide, labels))
    rows: list[tuple[Cell, ...]] = []
    above: tuple[str, ...] = ("",) * len(names)
    for row, line in enumerate(texts.itertuples(index=False, name=None)):
        same = [place in named and line[: place + 1] == above[: place + 1]
                for place in range(len(line))]  # fmt: skip
        rows.append(tuple(
            Cell(cut(text), place in right, _order(values.iat[row, place]), same=same[place])
            for place, text in enumerate(line)
        ))  # fmt: skip
        above = line
    columns = tuple(Cell(name, place in right) for place, name in enumerate(names))
    return TableView(
        caption, columns, tuple(rows), count, file, wrapped, named, row_heads=0 not in wrapped
    )


def _places(names: Sequence[str], some: Sequence[str]) -> frozenset[int]:
    return frozenset(place for place, name in enumerate(names) if name in set(some))


def _order(value: object) -> str:
    return repr(float(value)) if isinstance(value, Real) and value == value else ""


def cut(text: str, most: int = MOST_LETTERS) -> str:
    """A text of at most ``most`` letters, which says how many it lost."""
    lost = len(text) - most
    return text if lost <= 0 else f"{text[:most]} … ({lost:,} more characters)"
